import { proxyActivities } from '@temporalio/workflow';
import type { FeaturesActivities } from '../activities/features.ts';
import type { FeaturesResult, IngestResult } from '../contracts/jobs.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import { withJobCleanup, JOB } from './job-stage.ts';
import type { SetSummary } from './run.ts';

const jobs = proxyActivities<FeaturesActivities>({
  ...JOB,
  summary: 'Computes, registers and materializes features',
});

/**
 * Builds the snapshot's features for training and for serving. No feature reads a value that was not known at its origin.
 *
 * @param featureSetVersion Version of the feature definitions that a deployed model was trained with. When the code has
 *   another version, the job fails before it changes anything.
 */
export async function buildFeatures(
  setSummary: SetSummary,
  input: ResolvedPipelineInput,
  { snapshot }: IngestResult,
  featureSetVersion?: string,
): Promise<FeaturesResult> {
  const built = await withJobCleanup('features', () =>
    jobs.buildFeatures({ input, snapshot, featureSetVersion }),
  );
  setSummary(
    `${built.offlineRows} rows offline, ${built.onlineEntities} entities online ` +
      `(${built.windowStart} to ${built.windowEnd})`,
  );
  return built;
}
