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
 * Builds the features of the snapshot, for training and online; none uses a value from after its origin.
 *
 * @param featureSetVersion Version of the definitions that a deployed model was trained with. The job fails before it
 *   changes anything when the code has another version.
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
