/** Shared shell of the workflows: message handlers, progress, search attributes, and the failure that a run ends with. */
import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import { ERROR_TYPES } from '../contracts/errors.ts';
import { SEARCH_ATTRIBUTES } from '../contracts/names.ts';
import type { PipelineProgress } from '../contracts/progress.ts';
import type { Stage, Verdict } from '../contracts/stages.ts';
import type { Abort, Approval } from './messages.ts';
import { abortUpdate, approveUpdate, progressQuery } from './messages.ts';
import { asMarkdown, newProgress, stageSeconds } from './progress.ts';

/** Replaces the one-line summary of the running stage. */
export type SetSummary = (summary: string) => void;

export class PipelineRun {
  readonly #progress: PipelineProgress = newProgress();
  /** Everything that `abort` cancels. */
  readonly #scope = new CancellationScope();
  #abortReason: string | null = null;
  #approvedBy: string | null = null;

  constructor() {
    setHandler(progressQuery, () => this.#progress);
    setHandler<string, [Approval | undefined], typeof approveUpdate>(
      approveUpdate,
      (approval) => this.#approve(approval),
      {
        validator: () => {
          this.#checkApproval();
        },
      },
    );
    setHandler(abortUpdate, (abort) => this.#abort(abort), {
      validator: (abort) => {
        this.#checkAbort(abort);
      },
    });
    this.#show();
  }

  /** Runs the whole workflow. `abort` cancels the work; the run fails with the sentence of the failed activity. */
  async execute<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.#scope.run(work);
    } catch (error) {
      if (this.#abortReason !== null && isCancellation(error)) {
        throw ApplicationFailure.nonRetryable(`aborted: ${this.#abortReason}`, ERROR_TYPES.aborted);
      }
      throw plainFailure(error);
    }
  }

  /** Runs one stage and records its status, its times and its summary. */
  async stage<T>(name: Stage, work: (setSummary: SetSummary) => Promise<T>): Promise<T> {
    const entry = this.#progress.stages[name];
    this.#progress.stage = name;
    Object.assign(entry, { status: 'running', startedAt: new Date().toISOString() });
    this.describe({ stage: name });
    try {
      const result = await work((summary) => {
        entry.summary = summary;
        this.#show();
      });
      entry.status = 'done';
      return result;
    } catch (error) {
      entry.status = 'failed';
      throw error;
    } finally {
      entry.endedAt = new Date().toISOString();
      this.#show();
    }
  }

  skip(name: Stage, reason: string): null {
    Object.assign(this.#progress.stages[name], { status: 'skipped', summary: reason });
    this.#show();
    return null;
  }

  /** Sets search attributes, by which a run is found in the Temporal UI. */
  describe(facts: { model?: string; snapshot?: string; stage?: Stage; verdict?: Verdict }): void {
    if (facts.verdict !== undefined) this.#progress.verdict = facts.verdict;
    upsertSearchAttributes(
      Object.entries(facts).map(([name, value]) => ({
        key: { name: SEARCH_ATTRIBUTES[name as keyof typeof SEARCH_ATTRIBUTES], type: 'KEYWORD' as const },
        value,
      })),
    );
    this.#show();
  }

  /** Waits until a person approves; returns the name of that person. */
  async waitForApproval(): Promise<string> {
    this.#progress.waitingFor = 'approval';
    this.#show();
    try {
      await condition(() => this.#approvedBy !== null);
      return String(this.#approvedBy);
    } finally {
      this.#progress.waitingFor = null;
      this.#show();
    }
  }

  /** Reason of a cancellation, for the audit. */
  stopReason(): string {
    return this.#abortReason === null ? 'the run was cancelled' : `aborted: ${this.#abortReason}`;
  }

  stageSeconds(): Partial<Record<Stage, number>> {
    return stageSeconds(this.#progress);
  }

  #checkApproval(): void {
    if (this.#progress.waitingFor !== 'approval') throw new Error('this run is not waiting for an approval');
  }

  #approve(approval: Approval | undefined): string {
    this.#approvedBy = approval?.by ?? 'somebody';
    this.#progress.waitingFor = null;
    return `approved by ${this.#approvedBy}`;
  }

  #checkAbort(abort: unknown): void {
    const reason = (abort as { reason?: unknown } | undefined)?.reason;
    if (typeof reason !== 'string' || reason.trim() === '') {
      throw new Error('abort needs a reason: {"reason": "one sentence"}');
    }
    if (this.#abortReason !== null)
      throw new Error(`this run is being aborted already: ${this.#abortReason}`);
  }

  #abort({ reason }: Abort): string {
    this.#abortReason = reason.trim();
    this.#scope.cancel();
    return `aborting: ${this.#abortReason}`;
  }

  #show(): void {
    setCurrentDetails(asMarkdown(this.#progress));
  }
}

/** Lifts the message of a failed activity, which Temporal hides one level down, to the failure of the run. */
function plainFailure(error: unknown): unknown {
  if (!(error instanceof ActivityFailure) || !(error.cause instanceof ApplicationFailure)) return error;
  return ApplicationFailure.create({
    message: error.cause.message,
    ...(error.cause.type == null ? {} : { type: error.cause.type }),
    nonRetryable: true,
    cause: error,
  });
}
