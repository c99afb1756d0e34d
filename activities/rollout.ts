import { ApplicationFailure, Context } from '@temporalio/activity';
import { ERROR_TYPES } from '../contracts/errors.ts';
import type { RolloutOptions } from '../contracts/pipeline.ts';
import type { RegisteredVersion, RolloutVersions, StepAnalysis, StepDecision } from '../contracts/rollout.ts';
import { championOnDataset } from '../contracts/rollout.ts';
import type { Dependencies } from './dependencies.ts';
import { askForecasts, forecastsOf } from './endpoint.ts';
import { asInstance, canAnswer, collectAnalysis } from './analysis.ts';
import { readAnalysisRows, readManifest } from './job-outputs.ts';
import { PARITY_TOLERANCE, parityDifference } from './parity.ts';
import { readSeriesIds } from './series-ids.ts';
import { decideStep } from './step-decision.ts';

const READY_POLL_MS = 500;
const PARITY_ROWS = 200;

interface DeployRequest extends RolloutVersions {
  /** Time limit for both versions to become ready. */
  readyWithinSeconds: number;
}

export interface StepRequest extends RolloutVersions {
  analysisRowsUri: string;
  weightPercent: number;
  options: RolloutOptions;
}

export interface RolloutActivities {
  /** Deploys both versions and waits until they are ready. Moves no traffic. */
  deploy: (request: DeployRequest) => Promise<void>;
  /**
   * Asks the candidate, pinned, for evaluated forecasts, and returns a sentence with the numbers.
   * @throws ApplicationFailure `CandidateFailed` when its forecasts differ
   */
  checkForecastParity: (request: {
    candidate: RegisteredVersion;
    analysisRowsUri: string;
  }) => Promise<string>;
  /** Gives the candidate its percentage and the champion the rest; returns the percentages by version. */
  setTraffic: (request: RolloutVersions & { candidatePercent: number }) => Promise<Record<string, number>>;
  /** Collects the analysis of one attempt of a step and decides on it. */
  analyzeStep: (request: StepRequest) => Promise<{ analysis: StepAnalysis; decision: StepDecision }>;
  /** Removes the predictors of all versions that have no traffic, except for `keep`. */
  removeAllBut: (request: { modelName: string; keep: number[] }) => Promise<void>;
  removeVersion: (request: { modelName: string; version: number }) => Promise<void>;
}

export type RolloutDependencies = Pick<Dependencies, 'serving'> & {
  database: Pick<Dependencies['database'], 'query'>;
};

export function createRolloutActivities(deps: RolloutDependencies): RolloutActivities {
  const { serving } = deps;
  return {
    deploy: (request) => deploy(deps, request),
    checkForecastParity: (request) => checkForecastParity(deps, request),
    analyzeStep: (request) => analyzeStep(deps, request),

    setTraffic: (request) => setTraffic(deps, request),

    async removeAllBut({ modelName, keep }) {
      for (const { version, weightPercent } of await serving.observe(modelName)) {
        if (!keep.includes(version) && weightPercent === 0) await serving.removeVersion(modelName, version);
      }
    },

    removeVersion: ({ modelName, version }) => serving.removeVersion(modelName, version),
  };
}

async function setTraffic(
  { serving }: Pick<Dependencies, 'serving'>,
  {
    candidate: { modelName, version },
    champion,
    candidatePercent,
  }: RolloutVersions & { candidatePercent: number },
): Promise<Record<string, number>> {
  const states = await serving.observe(modelName);
  const candidateNow = states.find((state) => state.version === version)?.weightPercent ?? 0;
  // Before the candidate has traffic there is nothing to take back, and the versions may not be deployed.
  if (candidatePercent === 0 && candidateNow === 0) {
    return Object.fromEntries(states.map((state) => [state.version, state.weightPercent]));
  }
  const weights = trafficWeights(version, champion?.version ?? null, candidatePercent);
  await serving.setTraffic(modelName, weights);
  return Object.fromEntries(weights);
}

/** Traffic in percent by version. Without a champion no version can take the rest, so the candidate has all of it or none. */
function trafficWeights(
  candidate: number,
  champion: number | null,
  candidatePercent: number,
): Map<number, number> {
  if (champion === null) return new Map(candidatePercent === 100 ? [[candidate, 100]] : []);
  return new Map([
    [candidate, candidatePercent],
    [champion, 100 - candidatePercent],
  ]);
}

async function deploy(
  { serving }: Pick<Dependencies, 'serving'>,
  { candidate, champion, readyWithinSeconds }: DeployRequest,
): Promise<void> {
  const context = Context.current();
  const wanted = champion === null ? [candidate] : [champion, candidate];
  for (const { modelName, version, modelUri, modelHash } of wanted) {
    await serving.ensureVersion({ modelName, version, modelUri, modelHash }, context.cancellationSignal);
  }
  const deadline = Date.now() + readyWithinSeconds * 1_000;
  for (;;) {
    const states = await serving.observe(candidate.modelName);
    const missing = wanted.flatMap(({ version }) => {
      const state = states.find((served) => served.version === version);
      return state?.ready === true ? [] : { version, message: state?.message };
    });
    if (missing.length === 0) return;
    const names = missing.map(({ version }) => `version ${version}`).join(' and ');
    const reasons = missing.flatMap(({ version, message }) =>
      message ? `version ${version}: ${message}` : [],
    );
    if (Date.now() > deadline) {
      throw ApplicationFailure.nonRetryable(
        `not ready to serve ${candidate.modelName} within ${readyWithinSeconds} seconds: ${names}; ` +
          (reasons.join('; ') || "read the predictor's log"),
        ERROR_TYPES.candidateFailed,
      );
    }
    context.heartbeat([`waiting for ${names}`, ...reasons].join('; '));
    await context.sleep(READY_POLL_MS);
  }
}

async function checkForecastParity(
  { database, serving }: RolloutDependencies,
  { candidate, analysisRowsUri }: { candidate: RegisteredVersion; analysisRowsUri: string },
): Promise<string> {
  const { cancellationSignal } = Context.current();
  const manifest = await readManifest(candidate.modelUri);
  const all = await readAnalysisRows(analysisRowsUri);
  // Every n-th row of the file, so that all stores, departments and horizons are covered.
  const stride = Math.max(1, Math.floor(all.length / PARITY_ROWS));
  const rows = all.filter((_, i) => i % stride === 0).slice(0, PARITY_ROWS);
  const { withIds } = await readSeriesIds(database, candidate.dataset);
  const instances = rows.map((row) => asInstance(withIds(row)));
  const endpoint = { url: serving.url, modelName: candidate.modelName };
  const answer = await askForecasts(endpoint, instances, cancellationSignal, candidate.version);
  const predictions = forecastsOf(answer, candidate.version, `${rows.length} evaluated forecasts`);
  const difference = parityDifference(manifest, rows, predictions);
  const numbers = `${rows.length} deployed forecasts have a relative difference of up to ${difference.toExponential(1)} to the evaluated forecasts`;
  if (difference > PARITY_TOLERANCE) {
    throw ApplicationFailure.nonRetryable(
      `${numbers} (allowed: ${PARITY_TOLERANCE}): the served model is not the evaluated one`,
      ERROR_TYPES.candidateFailed,
    );
  }
  return numbers;
}

async function analyzeStep(
  { database, serving }: RolloutDependencies,
  { candidate, champion, analysisRowsUri, weightPercent, options }: StepRequest,
): Promise<{ analysis: StepAnalysis; decision: StepDecision }> {
  const context = Context.current();
  const { withIds } = await readSeriesIds(database, candidate.dataset);
  const rows = (await readAnalysisRows(analysisRowsUri)).map(withIds);
  const comparable = championOnDataset(champion, candidate.dataset);
  const canCompare = comparable !== null && canAnswer(await readManifest(comparable.modelUri), rows);
  const versions = { candidate: candidate.version, champion: canCompare ? comparable.version : null };
  const enough = enoughRows(options, rows.length);
  const analysis = await collectAnalysis(
    {
      endpoint: { url: serving.url, modelName: candidate.modelName },
      versions,
      weightPercent,
      rows,
      manifest: await readManifest(candidate.modelUri),
      options: enough,
    },
    context.cancellationSignal,
    () => {
      context.heartbeat();
    },
  );
  return { analysis, decision: withRemark(decideStep(analysis, enough, versions), options, rows.length) };
}

/** Options that a small data set can satisfy: all of its known weeks are enough. */
const enoughRows = (options: RolloutOptions, rows: number): RolloutOptions => ({
  ...options,
  minComparedPerStep: Math.min(options.minComparedPerStep, rows),
});

function withRemark(
  decision: StepDecision,
  { minComparedPerStep }: RolloutOptions,
  rows: number,
): StepDecision {
  if (rows >= minComparedPerStep) return decision;
  const remark = `${minComparedPerStep} comparisons were asked for, but the test weeks have only ${rows}`;
  return { ...decision, reason: `${decision.reason} (${remark})` };
}
