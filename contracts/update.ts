/** Input and result of an update of forecasts. Workflows import the types only: zod stays outside their sandbox. */
import type { z } from 'zod';
import type { FeaturesResult, IngestResult } from './jobs.ts';
import type { MonitorResult, ResolvedPipelineInput } from './pipeline.ts';
import type { RegisteredVersion } from './rollout.ts';
import { pipelineInputSchema } from './pipeline.ts';
import type { Stage } from './stages.ts';
import { sentencesOf } from './zod-issues.ts';

/** Input of an update: part of a pipeline's input, without a default source. */
export const updateInputSchema = pipelineInputSchema
  .pick({ modelName: true, dataset: true, maxBadRowShare: true, allow: true, acknowledge: true })
  .extend({ source: pipelineInputSchema.shape.source.unwrap() });

/**
 * Fills in the defaults; the data set stays open until the champion is known. Returns one sentence for each invalid value
 * instead, when there is any.
 */
export function resolveUpdateInput(raw: unknown): { update: ResolvedUpdateInput } | { issues: string[] } {
  const parsed = updateInputSchema.safeParse(raw ?? {});
  return parsed.success ? { update: parsed.data } : { issues: sentencesOf(parsed.error) };
}

/** Input as a person or program writes it: the source of the new weeks, and the model. */
export type UpdateInput = z.input<typeof updateInputSchema>;
export type ResolvedUpdateInput = z.output<typeof updateInputSchema>;

/** Plan of an update, made when the champion is known. */
export interface UpdatePlan {
  /** Pipeline input with the champion's data set and horizon. */
  input: ResolvedPipelineInput;
  champion: RegisteredVersion;
  /** Version of the feature definitions that the champion was trained with. */
  featureSetVersion: string;
}

export interface UpdateResult {
  modelName: string;
  dataset: string;
  ingest: IngestResult;
  features: FeaturesResult;
  monitor: MonitorResult;
  stageSeconds: Partial<Record<Stage, number>>;
}
