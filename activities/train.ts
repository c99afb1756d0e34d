import { log } from '@temporalio/activity';
import type { EpochMetrics, FeaturesResult, Snapshot, TrainResult, TrainSpec } from '../contracts/jobs.ts';
import { trainResultSchema } from '../contracts/jobs.ts';
import { feastProject } from '../contracts/names.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import type { Dependencies } from './dependencies.ts';
import { activityJobContext, runJob } from './run-job.ts';
import { logEpochs, openMlflowRun, recordTraining } from './tracking.ts';

export interface TrainRequest {
  input: ResolvedPipelineInput;
  snapshot: Snapshot;
  features: FeaturesResult;
}

export interface TrainActivities {
  /** Trains in a distributed job; its epochs appear in MLflow while it runs. */
  train: (request: TrainRequest) => Promise<TrainResult>;
  /** Logs parameters, epochs, plots, data sample and model to the run in MLflow. */
  recordTraining: (request: TrainRequest & { trained: TrainResult }) => Promise<void>;
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
            const epochs = lines.flatMap((line) => (line.epoch === undefined ? [] : [line.epoch]));
            if (epochs.length > 0)
              logged.push(logLive(deps, request.input.modelName, context.runKey, epochs));
          },
        },
        context,
      ).finally(() => Promise.all(logged));
    },

    recordTraining: (request) => recordTraining(deps, request),
  };
}

/** `recordTraining` logs all epochs again, so a training never waits for MLflow. */
async function logLive(
  deps: Dependencies,
  modelName: string,
  runKey: string,
  epochs: EpochMetrics[],
): Promise<void> {
  try {
    await logEpochs(deps.mlflow, await openMlflowRun(deps.mlflow, modelName, runKey), epochs);
  } catch (error) {
    log.warn('epochs not logged to MLflow while training; they will be after it', { error });
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
    testWeeks: input.testWeeks,
    validationWeeks: input.validationWeeks,
  };
}
