import { proxyActivities } from '@temporalio/workflow';
import type { TrainActivities } from '../activities/train.ts';
import type { FeaturesResult, IngestResult, TrainResult } from '../contracts/jobs.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import { withJobCleanup, withMlflowRunCleanup, JOB } from './job-stage.ts';
import type { SetSummary } from './run.ts';

const jobs = proxyActivities<Pick<TrainActivities, 'train'>>({ ...JOB, summary: 'Trains the candidate' });

/** Trains the candidate and exports it. */
export async function train(
  setSummary: SetSummary,
  input: ResolvedPipelineInput,
  { snapshot }: IngestResult,
  features: FeaturesResult,
): Promise<TrainResult> {
  const model = await withMlflowRunCleanup(input.modelName, () =>
    withJobCleanup('train', () => jobs.train({ input, snapshot, features })),
  );
  const restarts = model.startedFromEpochs.length - 1;
  const trained =
    model.epochs.length === 0
      ? 'a simple forecast, which has no epochs'
      : `best of ${model.epochs.length} epochs is ${model.bestEpoch}, ${model.parameterCount} parameters`;
  setSummary(trained + (restarts > 0 ? `, resumed ${restarts} times` : '') + outOfBudget(model.stoppedBy));
  return model;
}

function outOfBudget(stoppedBy: TrainResult['stoppedBy']): string {
  switch (stoppedBy) {
    case 'wallTime':
      return ', stopped at train.maxWallTimeMinutes';
    case 'gpuSeconds':
      return ', stopped at train.gpuSeconds';
    case 'epochs':
    case 'patience':
      return '';
  }
}
