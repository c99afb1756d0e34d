/** Query, update and signal definitions of a run. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { PipelineProgress } from '../contracts/progress.ts';

/** Progress of the run: stages, times, and whether it waits for an approval. */
export const progressQuery = defineQuery<PipelineProgress>('progress');

export interface Approval {
  /** Name of the person who approves, for the audit. */
  by?: string;
}
/** Lets the candidate have traffic. Valid only while the run waits for an approval. */
export const approveUpdate = defineUpdate<string, [Approval | undefined]>('approve');

export interface Abort {
  /** Sentence that the run fails with. */
  reason: string;
}
/** Stops the run, which cleans up and ends as failed. Valid until the run ends. */
export const abortUpdate = defineUpdate<string, [Abort]>('abort');

/** Signal that releases a model's lock, sent by the run that holds it. */
export const releaseSignal = defineSignal('release');
