import { proxyActivities } from '@temporalio/workflow';
import type { FeaturesActivities } from '../activities/features.ts';
import type { FeaturesResult, IngestResult } from '../contracts/jobs.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import { withJobCleanup, JOB } from './job-stage.ts';
import type { SetSummary } from './run.ts';

const { buildFeatures } = proxyActivities<FeaturesActivities>({
  ...JOB,
  summary: 'Computes, registers and materializes features',
});

/**
 * Leak-free features of the snapshot, for training and online.
 *
 * @param featureSetVersion definitions that a model in use was trained with; with others nothing is touched
 */
export async function features(
  setSummary: SetSummary,
  input: ResolvedPipelineInput,
  { snapshot }: IngestResult,
  featureSetVersion?: string,
): Promise<FeaturesResult> {
  const built = await withJobCleanup('features', () => buildFeatures({ input, snapshot, featureSetVersion }));
  setSummary(
    `${built.offlineRows} rows offline, ${built.onlineEntities} entities online ` +
      `(${built.windowStart} to ${built.windowEnd})`,
  );
  return built;
}
