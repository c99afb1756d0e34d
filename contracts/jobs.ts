/**
 * Results, errors and progress of the jobs: the files that a stage's Python program writes.
 *
 * A job is started as `python -m shelfcast.<stage> --dir DIR`. DIR holds `spec.json` (job-specs.ts, written before the start);
 * the job writes its outputs there and, last and atomically, `result.json`. If the user or the data is at
 * fault, it writes `error.json` ({ type, message }) and exits with code 2. Any other failure is worth a retry.
 * A job may append lines to `progress.jsonl`. Keys are camelCase on both sides; weeks are ISO dates.
 */
import { z } from 'zod';

const isoDate = z.iso.date();

export const snapshotSchema = z
  .object({
    id: z.string().describe('`<dataset>-<batch number>-<first 12 hex digits of the content hash>`.'),
    dataset: z.string().describe('Name of the data set.'),
    batchId: z.int().describe('Id of the newest load batch in it.'),
    contentHash: z.string().describe('SHA-256 over all rows of the snapshot in key order, hex.'),
    rowCount: z.int().describe('Number of rows of sales.'),
    seriesCount: z.int().describe('Number of series.'),
    firstWeek: isoDate.describe('First week with sales.'),
    lastWeek: isoDate.describe('Last week with sales.'),
  })
  .meta({ id: 'Snapshot', description: 'An immutable version of a data set.' });
export type Snapshot = z.infer<typeof snapshotSchema>;

const qualityRuleSchema = z.object({
  name: z.string(),
  /** `error` stops the run before anything is written; `warning` is reported. */
  severity: z.enum(['error', 'warning']),
  /** Sentence that the data must satisfy. */
  text: z.string(),
  /** `notChecked`: there was nothing to compare with, or the rule does not apply to that source. */
  outcome: z.enum(['kept', 'warned', 'stopped', 'overridden', 'notChecked']),
  /** Number of rows, weeks or stores (as `text` says) that break the rule. */
  rows: z.int(),
  /** Descriptions of up to five of them. */
  examples: z.array(z.string()),
});

export const ingestResultSchema = z.object({
  snapshot: snapshotSchema,
  /** Rows that were new or differed from the newest known value. */
  insertedRows: z.int(),
  unchangedRows: z.int(),
  badRows: z.int(),
  /** bad-rows.csv (file, line, column, value, rule, name), or null when there were none. */
  badRowsUri: z.string().nullable(),
  /** Parquet (store, dept, week, expected_sales) of the generator's noise-free means; null for real data. */
  oracleUri: z.string().nullable(),
  /** Outcome of the data-quality checks. */
  quality: z.object({
    /** Folder with quality.html and quality.json. */
    reportUri: z.string(),
    rules: z.array(qualityRuleSchema),
  }),
});
export type IngestResult = z.infer<typeof ingestResultSchema>;

export const featuresResultSchema = z.object({
  /** Hash of the feature definitions; a change of definition is a new version. */
  featureSetVersion: z.string(),
  /** Folder with `series-*.parquet` (one row per series and origin), `calendar.parquet` and `features.json`. */
  trainingDataUri: z.string(),
  offlineRows: z.int(),
  onlineEntities: z.int(),
  /** Window that was materialized online. */
  windowStart: isoDate,
  windowEnd: isoDate,
  /** JSON file of a `SkewSample`. */
  skewSampleUri: z.string(),
});
export type FeaturesResult = z.infer<typeof featuresResultSchema>;

/**
 * Features of some series at the newest origin, which the job found equal in the training data, offline and online. The
 * rollout compares them with what the deployed candidate reads.
 */
export const skewSampleSchema = z.object({
  snapshotId: z.string(),
  featureSetVersion: z.string(),
  origin: isoDate,
  comparedValues: z.int(),
  sample: z.array(
    z.object({
      store: z.int(),
      dept: z.int(),
      horizon: z.int(),
      targetWeek: isoDate,
      /** Every feature of the data set by its name in the model; null is unknown. */
      features: z.record(z.string(), z.number().nullable()),
    }),
  ),
});
export type SkewSample = z.infer<typeof skewSampleSchema>;

const epochSchema = z.object({
  epoch: z.int(),
  trainLoss: z.number(),
  validationLoss: z.number(),
  seconds: z.number(),
});
export type EpochMetrics = z.infer<typeof epochSchema>;

const stepSchema = z.object({
  epoch: z.int(),
  /** Step within the epoch, from 1 to `steps`. */
  step: z.int(),
  steps: z.int(),
  /** Mean of the epoch so far, USD, over the samples of the first process. */
  loss: z.number(),
  /** Estimated seconds until the last epoch ends, if the training does not stop earlier. */
  etaSeconds: z.number(),
});
export type StepMetrics = z.infer<typeof stepSchema>;

const trialSchema = z.object({
  /** Number of the trial, from 1; the first one has the run's own parameters. */
  number: z.int(),
  parameters: z.object({
    learningRate: z.number(),
    batchSize: z.int(),
    /** Factor on the preset's weight decay. */
    weightDecayFactor: z.number(),
  }),
  /** Lowest validation loss of the trial's epochs; null when its loss was not finite. */
  validationLoss: z.number().nullable(),
});
export type Trial = z.infer<typeof trialSchema>;

export const trainResultSchema = z.object({
  /** Folder in MLflow's model format with model.onnx, model.json and MLmodel. */
  modelUri: z.string(),
  /** SHA-256 of model.onnx, hex. */
  modelHash: z.string(),
  parameterCount: z.int(),
  bestEpoch: z.int(),
  epochs: z.array(epochSchema),
  /** Reason for which no further epoch was trained. */
  stoppedBy: z.enum(['epochs', 'patience', 'wallTime', 'gpuSeconds']),
  /** Epoch that each start of the training resumed from; [0] for a run without interruption. */
  startedFromEpochs: z.array(z.int()),
  /** Folder with loss.png and data-sample.csv, and search.json when there was a search. */
  reportUri: z.string(),
  /** All trials, and the one whose parameters the training used; absent without a search. */
  search: z.object({ trials: z.array(trialSchema), best: trialSchema }).optional(),
});
export type TrainResult = z.infer<typeof trainResultSchema>;

const metricsSchema = z.object({
  /** Weighted mean absolute error in USD; holiday weeks weigh 5 (the Walmart competition's measure). */
  wmae: z.number(),
  /** Sum of absolute errors over sum of absolute actuals. */
  wape: z.number(),
  /** MAE divided by the in-sample MAE of a naive forecast of the series; null where no series has one. */
  mase: z.number().nullable(),
  rmse: z.number(),
  /** Mean of forecast minus actual, USD. */
  bias: z.number(),
  /** Pinball loss, USD, the mean over the model's quantiles; null for point forecasts. */
  pinball: z.number().nullable(),
  /** Share of actuals inside [p10, p90]; null for point forecasts. */
  coverage80: z.number().nullable(),
  /** The same inside [p2.5, p97.5]; null for models without these quantiles, too. */
  coverage95: z.number().nullable(),
  rows: z.int(),
});
export type Metrics = z.infer<typeof metricsSchema>;

/** Forecasters in the backtest. All are scored on exactly the same rows. */
export const FORECASTERS = ['candidate', 'champion', 'naive', 'seasonal_naive', 'oracle'] as const;
export type Forecaster = (typeof FORECASTERS)[number];

/** Relative WMAE difference, candidate / other - 1; negative means that the candidate is better. */
const comparisonSchema = z.object({
  /** `overall`, or the name of a slice. */
  slice: z.string(),
  against: z.enum(FORECASTERS),
  difference: z.number(),
  /** Ends of the difference's 95 % interval (paired bootstrap of series and target weeks). */
  lower: z.number(),
  upper: z.number(),
  rows: z.int(),
  series: z.int(),
  /** Target weeks; a single one says nothing about others. */
  weeks: z.int(),
});
export type Comparison = z.infer<typeof comparisonSchema>;

export const evaluateResultSchema = z.object({
  /** All horizons together. */
  overall: z.partialRecord(z.enum(FORECASTERS), metricsSchema),
  /** One week ahead. */
  oneWeekAhead: z.partialRecord(z.enum(FORECASTERS), metricsSchema),
  /** Slice name (for example `store_type=A`, `holiday=true`, `volume=low`) to forecaster to metrics. */
  slices: z.record(z.string(), z.partialRecord(z.enum(FORECASTERS), metricsSchema)),
  /** Slices without metrics or without some comparison, each with the reason. */
  slicesNotScored: z.array(z.object({ slice: z.string(), reason: z.string() })),
  /** The candidate against each other forecaster but the oracle. */
  comparisons: z.array(comparisonSchema),
  testFirstWeek: isoDate,
  testLastWeek: isoDate,
  /** JSON lines of `AnalysisRow`: known weeks that the rollout sends to the deployed endpoint. */
  analysisRowsUri: z.string(),
  /** Folder with the plots, metrics.json and model-card.md. */
  reportUri: z.string(),
  /** Model card without the gate's decision; the one in MLflow has it. */
  modelCardUri: z.string(),
});
export type EvaluateResult = z.infer<typeof evaluateResultSchema>;

/** One known week: features as of the origin, actual sales, and the forecast of the evaluated model. */
export const analysisRowSchema = z.object({
  store: z.int(),
  dept: z.int(),
  horizon: z.int(),
  targetWeek: isoDate,
  features: z.record(z.string(), z.number().nullable()),
  actual: z.number(),
  /** The candidate's quantiles, in the order of its model.json. */
  expected: z.array(z.number()),
});
export type AnalysisRow = z.infer<typeof analysisRowSchema>;

/** A line of progress.jsonl. */
export const jobProgressSchema = z.object({
  message: z.string(),
  /** Share done, 0 to 1. */
  fraction: z.number().min(0).max(1).optional(),
  /** A finished epoch. */
  epoch: epochSchema.optional(),
  /** Progress within an epoch, reported every few seconds. */
  training: stepSchema.optional(),
});
export type JobProgress = z.infer<typeof jobProgressSchema>;

/** error.json */
export const jobErrorSchema = z.object({ type: z.string(), message: z.string() });
