/** Analysis of a canary step: sends known weeks through the deployed endpoint and counts the answers of each version. */
import type { AnalysisRow } from '../contracts/jobs.ts';
import type { ModelManifest } from '../contracts/model.ts';
import type { StepAnalysis } from '../contracts/rollout.ts';
import type { Answer, Endpoint } from './endpoint.ts';
import { askForecasts } from './endpoint.ts';
import type { WithIds } from './series-ids.ts';
import type { TallyPlan } from './tally.ts';
import { Tally } from './tally.ts';

/** Forecasts of a request; as few as in a client's request. */
const ANALYSIS_BATCH = 10;
const REQUESTS_IN_FLIGHT = 4;

/** Analysis row with the user's ids. */
export type NamedAnalysisRow = WithIds<AnalysisRow>;

/** Whether the model answers the rows' horizons and the rows have all its features. */
export function canAnswer(manifest: ModelManifest, rows: readonly NamedAnalysisRow[]): boolean {
  return rows.every(
    (row) =>
      row.horizon <= manifest.horizonWeeks &&
      manifest.features.every(({ name }) => Object.hasOwn(row.features, name)),
  );
}

export interface AnalysisPlan extends TallyPlan {
  endpoint: Endpoint;
  rows: readonly NamedAnalysisRow[];
}

/**
 * Sends unpinned requests until the candidate has answered enough of them at its traffic weight, and asks the champion
 * (pinned) for the same rows. Ends early when the candidate has certainly failed or cannot be reached, and at the latest
 * after `maxRequests` requests.
 */
export async function collectAnalysis(
  plan: AnalysisPlan,
  signal: AbortSignal,
  onRequest: () => void,
): Promise<StepAnalysis> {
  const { candidate } = plan.versions;
  const tally = new Tally(plan);
  const all = batches(plan.rows);
  const unanswered = new Set(all);
  const limit = maxRequests(plan);
  const ending = new AbortController();
  const untilEnd = AbortSignal.any([signal, ending.signal]);
  let sent = 0;

  const sendRequests = async (): Promise<void> => {
    while (sent < limit && !tally.isComplete()) {
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
    await Promise.all(Array.from({ length: REQUESTS_IN_FLIGHT }, sendRequests));
  } finally {
    // When one loop fails, the others must stop, because the next attempt starts new ones.
    ending.abort();
  }
  return tally.analysis();
}

/** Largest number of requests: 1.5 times the number needed at this traffic weight, and 20 more because small numbers scatter. */
function maxRequests({ options, weightPercent }: AnalysisPlan): number {
  const needed = Math.max(options.minRequestsPerStep, Math.ceil(options.minComparedPerStep / ANALYSIS_BATCH));
  return Math.ceil((needed * 100 * 1.5) / weightPercent) + 20;
}

async function askChampion(
  { endpoint, versions }: AnalysisPlan,
  batch: readonly NamedAnalysisRow[],
  signal: AbortSignal,
): Promise<Answer | null> {
  if (versions.champion === null) return null;
  return askForecasts(endpoint, batch.map(asInstance), signal, versions.champion);
}

/** Instance of a request that carries the features. */
export const asInstance = ({ store, dept, horizon, features }: NamedAnalysisRow) => ({
  store,
  dept,
  horizon,
  features,
});

function batches(rows: readonly NamedAnalysisRow[]): NamedAnalysisRow[][] {
  return Array.from({ length: Math.ceil(rows.length / ANALYSIS_BATCH) }, (_, i) =>
    rows.slice(i * ANALYSIS_BATCH, (i + 1) * ANALYSIS_BATCH),
  );
}
