/** Counts of a canary step, from which its analysis is made. */
import type { AnalysisRow } from '../contracts/jobs.ts';
import type { ModelManifest } from '../contracts/model.ts';
import type { RolloutOptions } from '../contracts/pipeline.ts';
import type { Prediction } from '../contracts/predict.ts';
import type { StepAnalysis } from '../contracts/rollout.ts';
import type { Answer } from './endpoint.ts';
import { parityDifference } from './parity.ts';
import type { ComparedVersions } from './step-decision.ts';
import { hasTooManyFailures } from './step-decision.ts';

type KnownWeek = Pick<AnalysisRow, 'actual' | 'expected'>;

export interface TallyPlan {
  versions: ComparedVersions;
  weightPercent: number;
  manifest: Pick<ModelManifest, 'quantiles'>;
  options: Pick<RolloutOptions, 'minRequestsPerStep' | 'minComparedPerStep' | 'maxErrorRate'>;
}

export class Tally {
  readonly #plan: TallyPlan;
  readonly #requests = new Map<number, number>();
  readonly #failedRequests = new Map<number, number>();
  readonly #unreachable = new Map<number, number>();
  readonly #absoluteError = new Map<number, number>();
  readonly #compared = new Set<KnownWeek>();
  #actualSum = 0;
  #maxParityDifference = 0;

  constructor(plan: TallyPlan) {
    this.#plan = plan;
  }

  analysis(): StepAnalysis {
    const { candidate, champion } = this.#plan.versions;
    const versions = champion === null ? [candidate] : [candidate, champion];
    const errorOver = (divisor: number) =>
      divisor === 0
        ? {}
        : Object.fromEntries(
            versions.map((version) => [version, (this.#absoluteError.get(version) ?? 0) / divisor]),
          );
    return {
      weightPercent: this.#plan.weightPercent,
      requests: Object.fromEntries(this.#requests),
      failedRequests: Object.fromEntries(this.#failedRequests),
      unreachable: Object.fromEntries(this.#unreachable),
      compared: Object.fromEntries(versions.map((version) => [version, this.#compared.size])),
      wape: errorOver(this.#actualSum),
      meanAbsoluteError: errorOver(this.#compared.size),
      maxParityDifference: this.#maxParityDifference,
    };
  }

  /** Whether the candidate answered enough, has certainly failed, or cannot be reached. */
  isComplete(): boolean {
    const { options, versions } = this.#plan;
    const { candidate } = versions;
    return (
      hasTooManyFailures(this.analysis(), options, candidate) ||
      (this.#unreachable.get(candidate) ?? 0) > 0 ||
      ((this.#requests.get(candidate) ?? 0) >= options.minRequestsPerStep &&
        this.#compared.size >= options.minComparedPerStep)
    );
  }

  /** Counts the answer to an unpinned request. */
  count(answer: Answer): void {
    if (answer.unreachableVersion !== null) add(this.#unreachable, answer.unreachableVersion, 1);
    if (answer.version === null) return;
    add(this.#requests, answer.version, 1);
    if (answer.predictions === null) add(this.#failedRequests, answer.version, 1);
  }

  /**
   * Compares the candidate's forecasts of a batch with its backtest and with the actuals.
   * @param askChampion called only when the batch has rows that were not compared yet
   */
  async compare(
    batch: readonly KnownWeek[],
    predictions: readonly Prediction[],
    askChampion: () => Promise<Answer | null>,
  ): Promise<void> {
    const difference = parityDifference(this.#plan.manifest, batch, predictions);
    this.#maxParityDifference = Math.max(this.#maxParityDifference, difference);
    if (batch.every((row) => this.#compared.has(row))) return;
    const championAnswer = await askChampion();
    // A row counts only if both versions answered it.
    if (championAnswer !== null && championAnswer.predictions === null) return;
    batch.forEach((row, i) => {
      this.#addErrors(row, predictions[i], championAnswer?.predictions?.[i]);
    });
  }

  #addErrors(row: KnownWeek, ofCandidate: Prediction | undefined, ofChampion: Prediction | undefined): void {
    if (this.#compared.has(row)) return;
    const { candidate, champion } = this.#plan.versions;
    this.#compared.add(row);
    this.#actualSum += Math.abs(row.actual);
    add(this.#absoluteError, candidate, Math.abs((ofCandidate?.p50 ?? NaN) - row.actual));
    if (champion !== null)
      add(this.#absoluteError, champion, Math.abs((ofChampion?.p50 ?? NaN) - row.actual));
  }
}

const add = (counts: Map<number, number>, version: number, n: number): void => {
  counts.set(version, (counts.get(version) ?? 0) + n);
};
