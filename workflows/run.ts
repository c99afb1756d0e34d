/** State of a run, which both workflows use: message handlers, progress, search attributes and the final failure. */
import {
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
import { asRunFailure } from './activity-failure.ts';
import type { Abort, Approval } from './messages.ts';
import { abortUpdate, approveUpdate, progressQuery } from './messages.ts';
import { asMarkdown, newProgress, stageSeconds } from './progress.ts';

/** Replaces the one-line summary of the running stage. */
export type SetSummary = (summary: string) => void;

export class Run {
  readonly #progress: PipelineProgress = newProgress();
  /** Scope of the work, which `abort` cancels. */
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

  /**
   * Runs the body of the workflow.
   * @throws ApplicationFailure `Aborted` after `abort`, else with the type and message of the failed activity
   */
  async execute<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.#scope.run(work);
    } catch (error) {
      if (this.#abortReason !== null && isCancellation(error)) {
        throw ApplicationFailure.nonRetryable(this.stopReason(), ERROR_TYPES.aborted);
      }
      throw asRunFailure(error);
    }
  }

  /** Runs one stage and records its status, its times and its summary. */
  async stage<T>(name: Stage, work: (setSummary: SetSummary) => Promise<T>): Promise<T> {
    const entry = this.#progress.stages[name];
    this.#progress.stage = name;
    Object.assign(entry, { status: 'running', startedAt: new Date().toISOString() });
    this.setSearchAttributes({ stage: name });
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

  setVerdict(verdict: Verdict): void {
    this.#progress.verdict = verdict;
    this.setSearchAttributes({ verdict });
  }

  /** Sets search attributes, which find a run in the Temporal UI. */
  setSearchAttributes(values: { model?: string; snapshot?: string; stage?: Stage; verdict?: Verdict }): void {
    upsertSearchAttributes(
      Object.entries(values).map(([name, value]) => ({
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
    if (this.#progress.waitingFor === 'approval') return;
    const where = this.#progress.stage === null ? 'it is starting' : `it is in stage ${this.#progress.stage}`;
    throw new Error(
      `this run does not wait for an approval (${where}): \`npx shelfcast status\` shows its state`,
    );
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
