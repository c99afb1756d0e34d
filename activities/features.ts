import type { FeaturesResult, FeaturesSpec, Snapshot } from '../contracts/jobs.ts';
import { featuresResultSchema } from '../contracts/jobs.ts';
import { feastProject } from '../contracts/names.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import type { Dependencies } from './dependencies.ts';
import { activityJobContext, runJob } from './run-job.ts';

export interface FeaturesActivities {
  /** Computes features of the snapshot, registers them with Feast and materializes the newest online. */
  buildFeatures: (request: { input: ResolvedPipelineInput; snapshot: Snapshot }) => Promise<FeaturesResult>;
}

export function createFeaturesActivities(deps: Dependencies): FeaturesActivities {
  return {
    buildFeatures: ({ input, snapshot }) => {
      const spec: FeaturesSpec = {
        snapshot,
        feastProject: feastProject(input.dataset),
        horizonWeeks: input.horizonWeeks,
      };
      return runJob(
        deps,
        { stage: 'features', spec, resultSchema: featuresResultSchema },
        activityJobContext(),
      );
    },
  };
}
