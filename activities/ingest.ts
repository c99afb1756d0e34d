import { ApplicationFailure } from '@temporalio/activity';
import { ERROR_TYPES } from '../contracts/errors.ts';
import type { IngestSpec } from '../contracts/job-specs.ts';
import type { IngestResult } from '../contracts/jobs.ts';
import { ingestResultSchema } from '../contracts/jobs.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import { resolvePipelineInput } from '../contracts/pipeline.ts';
import type { Dependencies } from './dependencies.ts';
import { activityJobContext, runJob } from './run-job.ts';
import { currentRunKey } from './run-key.ts';

export interface IngestActivities {
  /** Fills in the defaults. @throws ApplicationFailure `InvalidInput` with one sentence for each invalid value */
  resolveInput: (raw: unknown) => Promise<ResolvedPipelineInput>;
  /** Validates the source and loads it as a batch. The snapshot in the result names the loaded rows. */
  ingest: (input: ResolvedPipelineInput) => Promise<IngestResult>;
}

export function createIngestActivities(deps: Dependencies): IngestActivities {
  return {
    resolveInput: (raw) => {
      const resolved = resolvePipelineInput(raw);
      if ('input' in resolved) return Promise.resolve(resolved.input);
      throw ApplicationFailure.nonRetryable(
        `invalid pipeline input: ${resolved.issues.join('; ')}`,
        ERROR_TYPES.invalidInput,
      );
    },

    ingest: (input) => {
      const spec: IngestSpec = {
        dataset: input.dataset,
        requestId: currentRunKey(),
        source: input.source,
        maxBadRowShare: input.maxBadRowShare,
        ...(input.allow === undefined ? {} : { allow: input.allow }),
        ...(input.acknowledge === undefined ? {} : { acknowledge: input.acknowledge }),
      };
      return runJob(deps, { stage: 'ingest', spec, resultSchema: ingestResultSchema }, activityJobContext());
    },
  };
}
