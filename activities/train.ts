import { log } from '@temporalio/activity';
import type { TrainSpec } from '../contracts/job-specs.ts';
import type { FeaturesResult, JobProgress, Snapshot, TrainResult } from '../contracts/jobs.ts';
import { trainResultSchema } from '../contracts/jobs.ts';
import { feastProject } from '../contracts/names.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import { keptWeeks } from './weeks.ts';
import type { Dependencies } from './dependencies.ts';
import { activityJobContext, runJob } from './run-job.ts';
import type { TrainingRecord } from './tracking.ts';
import { logEpochs, logSteps, openMlflowRun, recordTraining } from './tracking.ts';

interface TrainRequest {
  input: ResolvedPipelineInput;
  snapshot: Snapshot;
  features: FeaturesResult;
}

export interface TrainActivities {
  /** Trains in a distributed job, and logs steps and epochs to MLflow while the job runs. */
  train: (request: TrainRequest) => Promise<TrainResult>;
  /** Logs parameters, epochs, plots, data sample and model to the run in MLflow. */
  recordTraining: (record: TrainingRecord) => Promise<void>;
}

export function createTrainActivities(deps: Dependencies): TrainActivities {
  return {
    train: (request) => {
      const context = activityJobContext();
      const logged: Promise<void>[] = [];
      return runJob(
        deps,
        {
          stage: 'train',
          spec: trainSpec(request),
          resultSchema: trainResultSchema,
          trainingProcesses: request.input.train.processes,
          onProgress: (lines) => {
            logged.push(logLive(deps, request.input.modelName, context.runKey, lines));
          },
        },
        context,
      ).finally(() => Promise.all(logged));
    },

    recordTraining: (record) => recordTraining(deps, record),
  };
}

/** Logs epochs and steps while the training runs. Errors are ignored, because `recordTraining` logs all epochs again. */
async function logLive(
  deps: Dependencies,
  modelName: string,
  runKey: string,
  lines: JobProgress[],
): Promise<void> {
  const epochs = lines.flatMap(({ epoch }) => epoch ?? []);
  const steps = lines.flatMap(({ training }) => training ?? []);
  if (epochs.length + steps.length === 0) return;
  try {
    const run = await openMlflowRun(deps.mlflow, modelName, runKey);
    await logEpochs(deps.mlflow, run, epochs);
    await logSteps(deps.mlflow, run, steps);
  } catch (error) {
    log.warn('the epochs are not in MLflow yet; they will be logged after the training', { error });
  }
}

function trainSpec({ input, snapshot, features }: TrainRequest): TrainSpec {
  return {
    ...input.train,
    snapshot,
    feastProject: feastProject(input.dataset),
    featureSetVersion: features.featureSetVersion,
    trainingDataUri: features.trainingDataUri,
    horizonWeeks: input.horizonWeeks,
    ...keptWeeks(input, snapshot),
    withReplacements: true,
  };
}
