/** Input and result of an update of forecasts. Workflows import the types only: zod stays outside their sandbox. */
import type { z } from 'zod';
import type { FeaturesResult, IngestResult } from './jobs.ts';
import type { MonitorResult, RegisteredVersion, ResolvedPipelineInput } from './pipeline.ts';
import { pipelineInputSchema, sentencesOf } from './pipeline.ts';
import type { Stage } from './stages.ts';

/** What a pipeline's input and an update's have in common; an update has no default source. */
const updateInputSchema = pipelineInputSchema
  .pick({ modelName: true, dataset: true, maxBadRowShare: true, allow: true })
  .extend({ source: pipelineInputSchema.shape.source.unwrap() });

/** Decides every value but the data set, which is the champion's; otherwise one sentence for each wrong value. */
export function resolveUpdateInput(raw: unknown): { update: ResolvedUpdateInput } | { issues: string[] } {
  const parsed = updateInputSchema.safeParse(raw ?? {});
  return parsed.success ? { update: parsed.data } : { issues: sentencesOf(parsed.error) };
}

/** What a person or program writes: the source of the new weeks, and for which model. */
export type UpdateInput = z.input<typeof updateInputSchema>;
export type ResolvedUpdateInput = z.output<typeof updateInputSchema>;

/** What an update does, once the champion is known. */
export interface UpdatePlan {
  /** With the champion's data set and horizon. */
  input: ResolvedPipelineInput;
  champion: RegisteredVersion;
  /** Definitions that the champion was trained with. */
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
