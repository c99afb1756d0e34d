import { Context } from '@temporalio/activity';
import type { Stage } from '../contracts/stages.ts';
import type { Dependencies } from './dependencies.ts';
import { platformOf } from './dependencies.ts';
import { stopStageJobs } from './run-job.ts';
import { currentRunKey } from './run-key.ts';
import { openMlflowRun } from './tracking.ts';

export interface CleanUpActivities {
  /** Stops and releases all jobs of the stage, also those that another worker started. */
  stopJob: (stage: Stage) => Promise<void>;
  /** Ends the MLflow run of a pipeline run that failed or was cancelled. */
  endTracking: (request: { modelName: string; status: 'FAILED' | 'KILLED' }) => Promise<void>;
}

export function createCleanUpActivities(deps: Dependencies): CleanUpActivities {
  return {
    stopJob: (stage) =>
      stopStageJobs({
        platform: platformOf(deps.platforms, stage),
        stage,
        runKey: currentRunKey(),
        signal: Context.current().cancellationSignal,
      }),

    async endTracking({ modelName, status }) {
      const run = await openMlflowRun(deps.mlflow, modelName, currentRunKey());
      await deps.mlflow.endRun(run.runId, status);
    },
  };
}
