/** Activities that answer at once, and write down that they were called. */
import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Activities } from '../../activities/index.ts';
import { createIngestActivities } from '../../activities/ingest.ts';
import { createUpdateActivities } from '../../activities/update.ts';
import type { Dependencies } from '../../activities/dependencies.ts';
import { ERROR_TYPES } from '../../contracts/errors.ts';
import type { EvaluateResult, FeaturesResult, IngestResult, TrainResult } from '../../contracts/jobs.ts';
import type { RegisteredVersion, StepDecision, StepAnalysis } from '../../contracts/rollout.ts';

export const load: IngestResult = {
  snapshot: {
    id: 'generated-1-0123456789ab',
    dataset: 'generated',
    batchId: 1,
    contentHash: '0123456789ab',
    rowCount: 1_000,
    seriesCount: 10,
    firstWeek: '2024-01-05',
    lastWeek: '2025-11-28',
  },
  insertedRows: 1_000,
  unchangedRows: 0,
  badRows: 0,
  badRowsUri: null,
  oracleUri: 'file:///a/oracle.parquet',
  quality: { reportUri: 'file:///a/quality', rules: [] },
};

export const featured: FeaturesResult = {
  featureSetVersion: 'f1',
  trainingDataUri: 'file:///a/features',
  offlineRows: 900,
  onlineEntities: 10,
  windowStart: '2024-01-05',
  windowEnd: '2025-11-28',
  skewSampleUri: 'file:///a/features/skew-sample.json',
};

export const model: TrainResult = {
  modelUri: 'file:///a/model',
  modelHash: 'ab',
  parameterCount: 1_234,
  bestEpoch: 2,
  epochs: [{ epoch: 1, trainLoss: 1, validationLoss: 1.1, seconds: 2 }],
  stoppedBy: 'patience',
  startedFromEpochs: [0],
  reportUri: 'file:///a/report',
};

const metrics = (wmae: number) => ({
  wmae,
  wape: wmae / 1_000,
  mase: 0.9,
  rmse: wmae,
  bias: 0,
  pinball: wmae / 10,
  coverage80: 0.8,
  coverage95: 0.95,
  rows: 100,
});
export const backtest: EvaluateResult = {
  overall: { candidate: metrics(100), naive: metrics(200), seasonal_naive: metrics(150) },
  oneWeekAhead: {},
  slices: {},
  slicesNotScored: [],
  comparisons: [],
  testFirstWeek: '2025-10-10',
  testLastWeek: '2025-11-28',
  analysisRowsUri: 'file:///a/analysis-rows.jsonl',
  reportUri: 'file:///a/evaluate',
  modelCardUri: 'file:///a/evaluate/model-card.md',
};

export const version = (modelName: string, number: number, dataset = 'generated'): RegisteredVersion => ({
  modelName,
  version: number,
  runId: `run-${number}`,
  modelUri: `file:///a/model-${number}`,
  modelHash: `hash-${number}`,
  dataset,
});

const analysis = (weightPercent: number): StepAnalysis => ({
  weightPercent,
  requests: { 1: 400, 2: 40 },
  failedRequests: {},
  unreachable: {},
  compared: { 1: 200, 2: 200 },
  wape: { 1: 0.1, 2: 0.09 },
  maxParityDifference: 0,
});

export const stepOutcome = (
  weightPercent: number,
  outcome: StepDecision['outcome'],
  reason: string = outcome,
) => ({
  analysis: analysis(weightPercent),
  decision: { outcome, reason },
});

export interface FakeActivities {
  activities: Activities;
  /** Names of the activities in the order they began, with what tells calls of one name apart. */
  calls: string[];
}

/** @param champion version that holds the alias before the run; the run's own candidate is version 2. */
export function fakeActivities(
  overrides: Partial<Activities> = {},
  champion: RegisteredVersion | null = null,
): FakeActivities {
  const calls: string[] = [];
  const nothing = () => Promise.resolve();
  const activities: Activities = {
    // The real ones: they use nothing of their dependencies.
    resolveInput: createIngestActivities({} as Dependencies).resolveInput,
    resolveUpdateInput: createUpdateActivities({} as Dependencies).resolveUpdateInput,
    planUpdate: async (update) => {
      if (champion === null) throw ApplicationFailure.nonRetryable('no champion', ERROR_TYPES.invalidInput);
      const input = await activities.resolveInput({ ...update, dataset: champion.dataset, horizonWeeks: 4 });
      return { input, champion, featureSetVersion: featured.featureSetVersion };
    },
    ingest: (input) => Promise.resolve({ ...load, snapshot: { ...load.snapshot, dataset: input.dataset } }),
    buildFeatures: () => Promise.resolve(featured),
    train: () => Promise.resolve(model),
    recordTraining: nothing,
    findChampion: () => Promise.resolve(champion),
    backtest: () => Promise.resolve(backtest),
    decide: () =>
      Promise.resolve({
        verdict: 'pass',
        checks: [{ name: 'naive', passed: true, reason: 'better' }],
        comparisons: [],
      }),
    register: ({ input }) => Promise.resolve(version(input.modelName, 2, input.dataset)),
    deploy: nothing,
    checkForecastParity: () => Promise.resolve('200 deployed forecasts differ by at most 0'),
    checkTrainingServingSkew: () => Promise.resolve('700 features of 100 series equal the training data'),
    setTraffic: ({ candidatePercent }) => Promise.resolve({ 1: 100 - candidatePercent, 2: candidatePercent }),
    analyzeStep: ({ weightPercent }) => Promise.resolve(stepOutcome(weightPercent, 'successful')),
    moveAliases: nothing,
    restoreAliases: nothing,
    tagVerdict: nothing,
    audit: nothing,
    removeAllBut: nothing,
    removeVersion: nothing,
    recordForecasts: ({ champion: { version: modelVersion } }) =>
      Promise.resolve({
        modelVersion,
        forecastsRecorded: 80,
        seriesForecast: 10,
        seriesLeftOut: 0,
        samples: [],
      }),
    compareWithActuals: () => Promise.resolve({ actualsCompared: 0, wape: null }),
    stopJob: nothing,
    endTracking: nothing,
    ...overrides,
  };
  return { activities: recording(activities, calls), calls };
}

function recording(activities: Activities, calls: string[]): Activities {
  const entries = Object.entries(activities).map(([name, activity]) => [
    name,
    (request: unknown) => {
      calls.push(`${name}${detail(request)}`);
      return (activity as (request: unknown) => Promise<unknown>)(request);
    },
  ]);
  return Object.fromEntries(entries) as Activities;
}

function detail(request: unknown): string {
  if (typeof request === 'string') return `:${request}`;
  const { candidatePercent, weightPercent, step, verdict } = request as Record<
    string,
    string | number | undefined
  >;
  const value = candidatePercent ?? weightPercent ?? step ?? verdict;
  return value === undefined ? '' : `:${value}`;
}

/** Runs until it is cancelled, as an activity that follows a job does. */
export async function untilCancelled(onCancel: () => void = () => undefined): Promise<never> {
  const context = Context.current();
  const timer = setInterval(() => {
    context.heartbeat();
  }, 100);
  try {
    return await context.cancelled;
  } finally {
    clearInterval(timer);
    onCancel();
  }
}
