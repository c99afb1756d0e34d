/** What a person or program may ask and tell a running pipeline. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { PipelineProgress } from '../contracts/progress.ts';

/** Where the run is: stages, times, what it waits for. */
export const progressQuery = defineQuery<PipelineProgress>('progress');

export interface Approval {
  /** Who approves; kept in the audit. */
  by?: string;
}
/** Lets the candidate have traffic. Valid only while the run waits for it. Answers with what it did. */
export const approveUpdate = defineUpdate<string, [Approval | undefined]>('approve');

export interface Abort {
  /** One sentence; the run fails with it. */
  reason: string;
}
/** Ends the run as failed, after cleaning up. Valid until the run ends. */
export const abortUpdate = defineUpdate<string, [Abort]>('abort');

/** Sent to a model's lock by the run that holds it. */
export const releaseSignal = defineSignal('release');
