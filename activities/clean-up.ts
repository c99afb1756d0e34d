import { Context } from '@temporalio/activity';
import type { Stage } from '../contracts/stages.ts';
import type { Dependencies } from './dependencies.ts';
import { jobsOf } from './dependencies.ts';
import { stopStageJob } from './run-job.ts';
import { currentRunKey } from './run-key.ts';
import { openMlflowRun } from './tracking.ts';

export interface CleanUpActivities {
  /** Stops and releases the jobs of the stage, whichever worker started them. */
  stopJob: (stage: Stage) => Promise<void>;
  /** Ends the MLflow run of a pipeline run that failed or was cancelled. */
  endTracking: (request: { modelName: string; status: 'FAILED' | 'KILLED' }) => Promise<void>;
}

export function createCleanUpActivities(deps: Dependencies): CleanUpActivities {
  return {
    stopJob: (stage) =>
      stopStageJob(
        jobsOf(deps.jobs, stage),
        { runKey: currentRunKey(), signal: Context.current().cancellationSignal },
        stage,
      ),

    async endTracking({ modelName, status }) {
      const run = await openMlflowRun(deps.mlflow, modelName, currentRunKey());
      await deps.mlflow.endRun(run.runId, status);
    },
  };
}
