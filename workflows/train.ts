import { proxyActivities } from '@temporalio/workflow';
import type { TrainActivities } from '../activities/train.ts';
import type { FeaturesResult, IngestResult, TrainResult } from '../contracts/jobs.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import { endingItsJob, endingItsMlflowRun, JOB } from './job-stage.ts';
import type { Say } from './run.ts';

const jobs = proxyActivities<Pick<TrainActivities, 'train'>>({ ...JOB, summary: 'Trains the candidate' });

/** A trained and exported candidate. */
export async function train(
  say: Say,
  input: ResolvedPipelineInput,
  { snapshot }: IngestResult,
  features: FeaturesResult,
): Promise<TrainResult> {
  const trained = await endingItsMlflowRun(input.modelName, () =>
    endingItsJob('train', () => jobs.train({ input, snapshot, features })),
  );
  const restarts = trained.startedFromEpochs.length - 1;
  say(
    `best of ${trained.epochs.length} epochs is ${trained.bestEpoch}, ${trained.parameterCount} parameters` +
      (restarts > 0 ? `, resumed ${restarts} times` : '') +
      outOfBudget(trained.stoppedBy),
  );
  return trained;
}

function outOfBudget(stoppedBy: TrainResult['stoppedBy']): string {
  switch (stoppedBy) {
    case 'wallTime':
      return ', stopped at train.maxWallTimeMinutes';
    case 'gpuSeconds':
      return ', stopped at train.gpuSeconds';
    case 'epochs':
    case 'patience':
    case undefined:
      return '';
  }
}
