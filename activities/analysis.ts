/** Analysis of a canary step: sends known weeks through the deployed endpoint and counts what each version answered. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApplicationFailure } from '@temporalio/common';
import type { z } from 'zod';
import { ERROR_TYPES } from '../contracts/errors.ts';
import type { AnalysisRow } from '../contracts/jobs.ts';
import { analysisRowSchema } from '../contracts/jobs.ts';
import type { ModelManifest } from '../contracts/model.ts';
import { modelManifestSchema } from '../contracts/model.ts';
import type { RolloutOptions } from '../contracts/pipeline.ts';
import type { StepAnalysis } from '../contracts/rollout.ts';
import type { Prediction } from '../contracts/predict.ts';
import type { Answer, Endpoint } from './endpoint.ts';
import { askForecasts } from './endpoint.ts';
import type { StepParties } from './step-decision.ts';
import { hasTooManyFailures } from './step-decision.ts';

const INSTANCES_PER_REQUEST = 10;
const REQUESTS_IN_FLIGHT = 4;

export async function readAnalysisRows(uri: string): Promise<AnalysisRow[]> {
  const lines = (await readFile(fileURLToPath(uri), 'utf8')).split('\n').filter((line) => line !== '');
  return lines.map((line, i) => parseOrFail(`${uri}:${i + 1}`, analysisRowSchema, line));
}

export async function readManifest(modelUri: string): Promise<ModelManifest> {
  const path = join(fileURLToPath(modelUri), 'model.json');
  return parseOrFail(path, modelManifestSchema, await readFile(path, 'utf8'));
}

/** Parses a file of an earlier stage; fails without a retry, since an unreadable file stays unreadable. */
export function parseOrFail<T>(where: string, schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw ApplicationFailure.nonRetryable(
      `${where} is not what this version of shelfcast reads: ${(error as Error).message}`,
      ERROR_TYPES.candidateFailed,
    );
  }
}

/** True when the model answers the rows' horizons and the rows have all its features. */
export function canAnswer(manifest: ModelManifest, rows: readonly AnalysisRow[]): boolean {
  return rows.every(
    (row) =>
      row.horizon <= manifest.horizonWeeks &&
      manifest.features.every(({ name }) => Object.hasOwn(row.features, name)),
  );
}

/** Largest relative difference between answered and evaluated p10, p50, p90 (relative to at least one dollar). */
export function parityDifference(
  manifest: Pick<ModelManifest, 'quantiles'>,
  rows: readonly AnalysisRow[],
  predictions: readonly Prediction[],
): number {
  const columns = [0.1, 0.5, 0.9].map((quantile) => manifest.quantiles.indexOf(quantile));
  const differences = rows.flatMap((row, i) => {
    const { p10, p50, p90 } = predictions[i] ?? { p10: NaN, p50: NaN, p90: NaN };
    return [p10, p50, p90].map((answered, q) => {
      const expected = row.expected[columns[q] ?? -1] ?? NaN;
      return Math.abs(answered - expected) / Math.max(1, Math.abs(expected));
    });
  });
  // A missing value counts as an infinite difference.
  return differences.some(Number.isNaN) ? Infinity : Math.max(0, ...differences);
}

export interface AnalysisPlan {
  endpoint: Endpoint;
  parties: StepParties;
  weightPercent: number;
  rows: readonly AnalysisRow[];
  manifest: Pick<ModelManifest, 'quantiles'>;
  options: Pick<RolloutOptions, 'minRequestsPerStep' | 'minComparedPerStep' | 'maxErrorRate'>;
}

/**
 * Sends unpinned requests until the candidate has answered enough of them at its traffic weight, and asks the champion
 * (pinned) for the same rows. Ends early when the candidate has certainly failed or cannot be reached, and at the latest
 * after `requestLimit` requests.
 */
export async function collectAnalysis(
  plan: AnalysisPlan,
  signal: AbortSignal,
  onRequest: () => void,
): Promise<StepAnalysis> {
  const { candidate } = plan.parties;
  const tally = createTally(plan);
  const all = batches(plan.rows);
  const unanswered = new Set(all);
  const maxRequests = requestLimit(plan);
  const ending = new AbortController();
  const untilEnd = AbortSignal.any([signal, ending.signal]);
  let sent = 0;

  const work = async (): Promise<void> => {
    while (sent < maxRequests && !tally.isComplete()) {
      // Rows that the candidate has not answered yet come first.
      const pool = unanswered.size > 0 ? [...unanswered] : all;
      const batch = pool[sent % pool.length];
      if (batch === undefined) return;
      sent += 1;
      const answer = await askForecasts(plan.endpoint, batch.map(asInstance), untilEnd);
      onRequest();
      tally.count(answer);
      if (answer.version !== candidate || answer.predictions === null) continue;
      unanswered.delete(batch);
      await tally.compare(batch, answer.predictions, () => askChampion(plan, batch, untilEnd));
    }
  };
  try {
    await Promise.all(Array.from({ length: REQUESTS_IN_FLIGHT }, work));
  } finally {
    // When one worker fails, the others must not continue during the next attempt.
    ending.abort();
  }
  return tally.analysis();
}

/** Upper bound of requests: 1.5 times the number that the weight should need, plus 20 for small numbers. */
function requestLimit({ options, weightPercent }: AnalysisPlan): number {
  const needed = Math.max(
    options.minRequestsPerStep,
    Math.ceil(options.minComparedPerStep / INSTANCES_PER_REQUEST),
  );
  return Math.ceil((needed * 100 * 1.5) / weightPercent) + 20;
}

async function askChampion(
  { endpoint, parties }: AnalysisPlan,
  batch: readonly AnalysisRow[],
  signal: AbortSignal,
): Promise<Answer | null> {
  if (parties.champion === null) return null;
  return askForecasts(endpoint, batch.map(asInstance), signal, parties.champion);
}

function createTally(plan: AnalysisPlan) {
  const { candidate, champion } = plan.parties;
  const requests = new Map<number, number>();
  const failedRequests = new Map<number, number>();
  const unreachable = new Map<number, number>();
  const absoluteError = new Map<number, number>();
  const compared = new Set<AnalysisRow>();
  let actualSum = 0;
  let maxParityDifference = 0;

  const analysis = (): StepAnalysis => {
    const answering = champion === null ? [candidate] : [candidate, champion];
    return {
      weightPercent: plan.weightPercent,
      requests: Object.fromEntries(requests),
      failedRequests: Object.fromEntries(failedRequests),
      unreachable: Object.fromEntries(unreachable),
      compared: Object.fromEntries(answering.map((version) => [version, compared.size])),
      wape:
        actualSum === 0
          ? {}
          : Object.fromEntries(answering.map((v) => [v, (absoluteError.get(v) ?? 0) / actualSum])),
      maxParityDifference,
    };
  };

  return {
    analysis,
    isComplete: (): boolean =>
      hasTooManyFailures(analysis(), plan.options, candidate) ||
      (unreachable.get(candidate) ?? 0) > 0 ||
      ((requests.get(candidate) ?? 0) >= plan.options.minRequestsPerStep &&
        compared.size >= plan.options.minComparedPerStep),

    count(answer: Answer): void {
      if (answer.unreachableVersion !== null) add(unreachable, answer.unreachableVersion, 1);
      if (answer.version === null) return;
      add(requests, answer.version, 1);
      if (answer.predictions === null) add(failedRequests, answer.version, 1);
    },

    async compare(
      batch: readonly AnalysisRow[],
      predictions: readonly Prediction[],
      askChampionSame: () => Promise<Answer | null>,
    ): Promise<void> {
      maxParityDifference = Math.max(
        maxParityDifference,
        parityDifference(plan.manifest, batch, predictions),
      );
      const fresh = batch.filter((row) => !compared.has(row));
      if (fresh.length === 0) return;
      const champions = await askChampionSame();
      // Without the champion's answer the rows do not compare the two.
      if (champions !== null && champions.predictions === null) return;
      batch.forEach((row, i) => {
        if (compared.has(row)) return;
        compared.add(row);
        actualSum += Math.abs(row.actual);
        add(absoluteError, candidate, Math.abs((predictions[i]?.p50 ?? NaN) - row.actual));
        if (champion !== null) {
          add(absoluteError, champion, Math.abs((champions?.predictions?.[i]?.p50 ?? NaN) - row.actual));
        }
      });
    },
  };
}

const add = (counts: Map<number, number>, version: number, n: number): void => {
  counts.set(version, (counts.get(version) ?? 0) + n);
};

const asInstance = ({ store, dept, horizon, features }: AnalysisRow) => ({ store, dept, horizon, features });

function batches(rows: readonly AnalysisRow[]): AnalysisRow[][] {
  return Array.from({ length: Math.ceil(rows.length / INSTANCES_PER_REQUEST) }, (_, i) =>
    rows.slice(i * INSTANCES_PER_REQUEST, (i + 1) * INSTANCES_PER_REQUEST),
  );
}
