/** What every pipeline run has around its stages: messages, progress, search attributes, and how it ends. */
import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  setHandler,
  upsertSearchAttributes,
  setCurrentDetails,
} from '@temporalio/workflow';
import { ERROR_TYPES } from '../contracts/errors.ts';
import { SEARCH_ATTRIBUTES } from '../contracts/names.ts';
import type { Stage } from '../contracts/stages.ts';
import type { Approval } from './messages.ts';
import { abortUpdate, approveUpdate, progressQuery } from './messages.ts';
import { asMarkdown, newProgress, stageSeconds } from './progress.ts';

/** Tells what just happened in a stage, in one line. */
export type SetSummary = (summary: string) => void;
export type PipelineRun = ReturnType<typeof beginRun>;

export function beginRun() {
  const progress = newProgress();
  const scope = new CancellationScope();
  let abortReason: string | null = null;
  let approvedBy: string | null = null;

  const show = (): void => {
    setCurrentDetails(asMarkdown(progress));
  };
  const describe = (facts: Partial<Record<keyof typeof SEARCH_ATTRIBUTES, string>>): void => {
    if (facts.verdict !== undefined) progress.verdict = facts.verdict as NonNullable<typeof progress.verdict>;
    upsertSearchAttributes(
      Object.entries(facts).map(([name, value]) => ({
        key: { name: SEARCH_ATTRIBUTES[name as keyof typeof SEARCH_ATTRIBUTES], type: 'KEYWORD' as const },
        value,
      })),
    );
    show();
  };

  setHandler(progressQuery, () => progress);
  setHandler<string, [Approval | undefined], typeof approveUpdate>(
    approveUpdate,
    (message) => {
      approvedBy = message?.by ?? 'somebody';
      progress.waitingFor = null;
      return `approved by ${approvedBy}`;
    },
    {
      validator: () => {
        if (progress.waitingFor !== 'approval') throw new Error('this run is not waiting for an approval');
      },
    },
  );
  setHandler(
    abortUpdate,
    (message) => {
      abortReason = message.reason.trim();
      scope.cancel();
      return `aborting: ${abortReason}`;
    },
    {
      validator: (message: unknown) => {
        const reason = (message as { reason?: unknown } | undefined)?.reason;
        if (typeof reason !== 'string' || reason.trim() === '') {
          throw new Error('abort needs a reason: {"reason": "one sentence"}');
        }
        if (abortReason !== null) throw new Error(`this run is being aborted already: ${abortReason}`);
      },
    },
  );
  show();

  return {
    describe,

    /** Runs one stage and keeps its times; `work` is handed a function that tells what happened. */
    async stage<T>(name: Stage, work: (setSummary: SetSummary) => Promise<T>): Promise<T> {
      const entry = progress.stages[name];
      progress.stage = name;
      Object.assign(entry, { status: 'running', startedAt: new Date().toISOString() });
      describe({ stage: name });
      try {
        const result = await work((summary) => {
          entry.summary = summary;
          show();
        });
        entry.status = 'done';
        return result;
      } catch (error) {
        entry.status = 'failed';
        throw error;
      } finally {
        entry.endedAt = new Date().toISOString();
        show();
      }
    },

    skip(name: Stage, why: string): null {
      Object.assign(progress.stages[name], { status: 'skipped', summary: why });
      show();
      return null;
    },

    /** Waits until a person approves; returns who did. */
    async approved(): Promise<string> {
      progress.waitingFor = 'approval';
      show();
      try {
        await condition(() => approvedBy !== null);
        return String(approvedBy);
      } finally {
        progress.waitingFor = null;
        show();
      }
    },

    /** Why the run is stopped, for the audit. */
    stopReason: (): string => (abortReason === null ? 'the run was cancelled' : `aborted: ${abortReason}`),

    stageSeconds: () => stageSeconds(progress),

    /** The whole run; `abort` cancels what is inside, and the failure that comes out is a plain sentence. */
    async toItsEnd<T>(work: () => Promise<T>): Promise<T> {
      try {
        return await scope.run(work);
      } catch (error) {
        if (abortReason !== null && isCancellation(error)) {
          throw ApplicationFailure.nonRetryable(`aborted: ${abortReason}`, ERROR_TYPES.aborted);
        }
        throw plainFailure(error);
      }
    },
  };
}

/** An activity's failure hides its sentence one level down; the run's own failure should say it. */
function plainFailure(error: unknown): unknown {
  if (!(error instanceof ActivityFailure) || !(error.cause instanceof ApplicationFailure)) return error;
  return ApplicationFailure.create({
    message: error.cause.message,
    ...(error.cause.type == null ? {} : { type: error.cause.type }),
    nonRetryable: true,
    cause: error,
  });
}
