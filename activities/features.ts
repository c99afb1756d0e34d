import type { FeaturesSpec } from '../contracts/job-specs.ts';
import type { FeaturesResult, Snapshot } from '../contracts/jobs.ts';
import { featuresResultSchema } from '../contracts/jobs.ts';
import { feastProject } from '../contracts/names.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import { keptWeeks } from './weeks.ts';
import type { Dependencies } from './dependencies.ts';
import { activityJobContext, runJob } from './run-job.ts';

export interface FeaturesActivities {
  /** Computes features of the snapshot, registers them with Feast and materializes the newest online. */
  buildFeatures: (request: FeaturesRequest) => Promise<FeaturesResult>;
}

interface FeaturesRequest {
  input: ResolvedPipelineInput;
  snapshot: Snapshot;
  /** Expected version of the feature definitions; absent when the run trains a model with the current ones. */
  featureSetVersion?: string | undefined;
}

export function createFeaturesActivities(deps: Dependencies): FeaturesActivities {
  return {
    buildFeatures: ({ input, snapshot, featureSetVersion }) => {
      const spec: FeaturesSpec = {
        snapshot,
        feastProject: feastProject(input.dataset),
        horizonWeeks: input.horizonWeeks,
        featureSetVersion,
        // An update renews the features of a model that exists: it trains nothing.
        ...(featureSetVersion === undefined ? keptWeeks(input, snapshot) : {}),
      };
      return runJob(
        deps,
        { stage: 'features', spec, resultSchema: featuresResultSchema },
        activityJobContext(),
      );
    },
  };
}
