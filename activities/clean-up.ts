import { Context } from '@temporalio/activity';
import type { Stage } from '../contracts/stages.ts';
import type { Dependencies } from './dependencies.ts';
import { jobsOf } from './dependencies.ts';
import { currentRunKey, stopStageJob } from './run-job.ts';
import { openMlflowRun } from './tracking.ts';

export interface CleanUpActivities {
  /** Stops the stage's job, whichever worker started it, and gives back what its jobs held. */
  stopJob: (stage: Stage) => Promise<void>;
  /** Marks the MLflow run of a pipeline run that did not come to its end. */
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
