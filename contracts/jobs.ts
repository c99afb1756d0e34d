/**
 * Results, errors and progress of the jobs: the files that a stage's Python program writes.
 *
 * A job is started as `python -m shelfcast.<stage> --dir DIR`. DIR holds `spec.json` (job-specs.ts, written before the start);
 * the job writes its outputs there and, last and atomically, `result.json`. If the input or the data is
 * invalid, it writes `error.json` ({ type, message }) and exits with code 2. Any other failure is retried.
 * A job may append lines to `progress.jsonl`. Keys are camelCase on both sides; weeks are ISO dates.
 */
import { z } from 'zod';
import { ERROR_TYPES } from './errors.ts';
import { featureValuesSchema } from './predict.ts';

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
    unit: z.string().optional().describe('Declared unit of the sales; absent where they are in USD.'),
  })
  .meta({ id: 'Snapshot', description: 'An immutable version of a data set.' });
export type Snapshot = z.infer<typeof snapshotSchema>;

const qualityRuleSchema = z
  .object({
    name: z.string().describe('Name of the rule.'),
    severity: z.enum(['error', 'warning']).meta({
      id: 'Severity',
      description:
        'Consequence of a broken rule: `error` stops the run before anything is written, `warning` is reported.',
    }),
    text: z.string().describe('Sentence that the data must satisfy.'),
    outcome: z.enum(['kept', 'warned', 'stopped', 'overridden', 'notChecked']).meta({
      id: 'Outcome',
      description:
        'Outcome of a rule; `notChecked` if there is nothing to compare with, or it does not apply to the source.',
    }),
    rows: z.int().describe('Number of rows, weeks or stores that break the rule; `text` names which.'),
    examples: z.array(z.string()).describe('Up to five violations in words.'),
  })
  .meta({ id: 'QualityRule', description: 'A rule of the data-quality checks and its outcome.' });

const qualitySchema = z
  .object({
    reportUri: z.string().describe('Folder with quality.html and quality.json.'),
    rules: z.array(qualityRuleSchema).describe('All rules.'),
  })
  .meta({ id: 'Quality', description: 'Outcome of the data-quality checks.' });

export const ingestResultSchema = z
  .object({
    snapshot: snapshotSchema,
    insertedRows: z.int().describe('Rows that were new or differed from the newest known value.'),
    unchangedRows: z.int().describe('Rows that equalled the newest known value.'),
    badRows: z.int().describe('Rows that break a rule for single rows.'),
    badRowsUri: z
      .string()
      .nullable()
      .describe('bad-rows.csv (file, line, column, value, rule, name), or null when there were none.'),
    oracleUri: z
      .string()
      .nullable()
      .describe(
        "Parquet (store, dept, week, expected_sales) of the generator's noise-free means; null for real data.",
      ),
    quality: qualitySchema,
  })
  .meta({ id: 'IngestResult', description: 'Result of the ingest job.' });
export type IngestResult = z.infer<typeof ingestResultSchema>;

export const featuresResultSchema = z
  .object({
    featureSetVersion: z
      .string()
      .describe('Hash of the feature definitions; a change of definition is a new version.'),
    trainingDataUri: z
      .string()
      .describe(
        'Folder with `series-*.parquet` (one row per series and origin), `calendar.parquet` and `features.json`.',
      ),
    offlineRows: z.int().describe("Number of rows of sales_history in Feast's offline store."),
    onlineEntities: z.int().describe("Number of series in Feast's online store."),
    windowStart: isoDate.describe('First origin that was materialized online.'),
    windowEnd: isoDate.describe('Last origin that was materialized online.'),
    skewSampleUri: z.string().describe('JSON file of a `SkewSample`.'),
  })
  .meta({ id: 'FeaturesResult', description: 'Result of the features job.' });
export type FeaturesResult = z.infer<typeof featuresResultSchema>;

const instance = {
  store: z.int().describe('Store number.'),
  dept: z.int().describe('Department number.'),
  horizon: z.int().describe('Weeks ahead.'),
  targetWeek: isoDate.describe('Target week.'),
};

/** The rollout compares this sample with the features that the deployed candidate reads. */
export const skewSampleSchema = z
  .object({
    snapshotId: z.string().describe('Id of the snapshot.'),
    featureSetVersion: z.string().describe('Version of the feature definitions.'),
    origin: isoDate.describe('Newest origin.'),
    comparedValues: z.int().describe('Number of values that the job compared.'),
    sample: z
      .array(
        z
          .object({
            ...instance,
            features: featureValuesSchema.describe(
              'Every feature of the data set by its name in the model; null is unknown.',
            ),
          })
          .meta({ id: 'SkewInstance', description: 'Features of one series and target week.' }),
      )
      .describe('Instances that were compared.'),
  })
  .meta({
    id: 'SkewSample',
    description:
      'Features of some series at the newest origin, equal in the training data, offline and online.',
  });
export type SkewSample = z.infer<typeof skewSampleSchema>;

const epochSchema = z
  .object({
    epoch: z.int().describe('Number of the epoch, from 1.'),
    trainLoss: z
      .number()
      .describe('Weighted mean of the quantile loss over the members of the network, USD.'),
    validationLoss: z
      .number()
      .describe('Quantile loss of the combined forecast on the validation weeks, USD.'),
    seconds: z.number().describe('Duration of the epoch.'),
  })
  .meta({ id: 'EpochMetrics', description: 'A finished epoch.' });
export type EpochMetrics = z.infer<typeof epochSchema>;

const stepSchema = z
  .object({
    epoch: z.int().describe('Number of the epoch, from 1.'),
    step: z.int().describe('Step within the epoch, from 1 to `steps`.'),
    steps: z.int().describe('Steps per epoch.'),
    loss: z.number().describe('Mean of the epoch so far, USD, over the samples of the first process.'),
    etaSeconds: z
      .number()
      .describe('Estimated seconds until the last epoch ends, if the training does not stop earlier.'),
  })
  .meta({ id: 'StepMetrics', description: 'Progress within an epoch, reported every few seconds.' });
export type StepMetrics = z.infer<typeof stepSchema>;

const trialSchema = z
  .object({
    number: z.int().describe("Number of the trial, from 1; the first one has the run's own parameters."),
    parameters: z
      .object({
        learningRate: z.number().describe('Peak learning rate.'),
        batchSize: z.int().describe('Samples in a minibatch.'),
        weightDecayFactor: z.number().describe("Factor on the weight decay of the preset's members."),
      })
      .meta({ id: 'TrialParameters', description: 'Searched parameters.' }),
    validationLoss: z
      .number()
      .nullable()
      .describe("Lowest validation loss of the trial's epochs; null when its loss was not finite."),
  })
  .meta({ id: 'Trial', description: 'A short training of the parameter search.' });
export type Trial = z.infer<typeof trialSchema>;

const searchResultSchema = z
  .object({
    trials: z.array(trialSchema).describe('All trials, in order.'),
    best: trialSchema.describe('Trial with the lowest loss, whose parameters the training used.'),
  })
  .meta({ id: 'SearchResult', description: 'Result of the parameter search.' });

const simpleForecastSchema = z
  .object({
    name: z.string().describe('Name of the simple forecast.'),
    modelUri: z.string().describe('Its model folder.'),
    modelHash: z.string().describe('SHA-256 of its model.onnx, hex.'),
    validationWmae: z.number().describe('Its WMAE on the validation weeks, USD.'),
  })
  .meta({
    id: 'SimpleForecastResult',
    description: 'A simple forecast that may take the place of the model.',
  });
export type SimpleForecastResult = z.infer<typeof simpleForecastSchema>;

const wideIntervalsSchema = z
  .object({
    modelUri: z.string().describe('Its model folder.'),
    modelHash: z.string().describe('SHA-256 of its model.onnx, hex.'),
    factor: z.number().describe('Factor on the width of the intervals.'),
  })
  .meta({
    id: 'WideIntervals',
    description: 'The model with intervals that held 80 % of the sales in each single validation week.',
  });

export const trainResultSchema = z
  .object({
    modelUri: z.string().describe("Folder in MLflow's model format with model.onnx, model.json and MLmodel."),
    modelHash: z.string().describe('SHA-256 of model.onnx, hex.'),
    parameterCount: z.int().describe('Number of parameters; 0 for a simple forecast.'),
    bestEpoch: z.int().describe('Epoch whose weights were kept.'),
    epochs: z.array(epochSchema).describe('All epochs, in order.'),
    stoppedBy: z
      .enum(['epochs', 'patience', 'wallTime', 'gpuSeconds'])
      .meta({ id: 'StoppedBy', description: 'Reason why no further epoch was trained.' }),
    startedFromEpochs: z
      .array(z.int())
      .describe('Epoch that each start of the training resumed from; [0] for a run without interruption.'),
    reportUri: z
      .string()
      .describe('Folder with loss.png and data-sample.csv, and search.json when there was a search.'),
    search: searchResultSchema.optional(),
    simpleForecasts: z
      .array(simpleForecastSchema)
      .optional()
      .describe('The simple forecasts, the one with the lowest WMAE on the validation weeks first.'),
    wideIntervals: wideIntervalsSchema.optional(),
  })
  .meta({ id: 'TrainResult', description: 'Result of the train job.' });
export type TrainResult = z.infer<typeof trainResultSchema>;

const metricsSchema = z
  .object({
    wmae: z
      .number()
      .describe(
        "Weighted mean absolute error, USD; holiday weeks weigh 5 (the Walmart competition's measure).",
      ),
    wape: z
      .number()
      .nullable()
      .describe('Sum of absolute errors over sum of absolute actuals; null where all actuals are 0.'),
    mase: z
      .number()
      .nullable()
      .describe(
        'MAE divided by the in-sample MAE of a naive forecast of the series; null where no series has one.',
      ),
    rmse: z.number().describe('Root mean squared error, USD.'),
    bias: z.number().describe('Mean of forecast minus actual, USD.'),
    pinball: z
      .number()
      .nullable()
      .describe("Pinball loss, USD, the mean over the model's quantiles; null for point forecasts."),
    coverage80: z
      .number()
      .nullable()
      .describe('Share of actuals inside [p10, p90]; null for point forecasts.'),
    coverage95: z
      .number()
      .nullable()
      .describe(
        'Share of actuals inside [p2.5, p97.5]; null for point forecasts and for models without these quantiles.',
      ),
    rows: z.int().describe('Number of rows that were scored.'),
  })
  .meta({ id: 'Metrics', description: 'Errors of one forecaster.' });
export type Metrics = z.infer<typeof metricsSchema>;

const levelMetricsSchema = z
  .object({
    wape: z
      .number()
      .nullable()
      .describe('Sum of absolute errors over sum of absolute actuals, of totals; null where all are 0.'),
    bias: z.number().describe('Mean of forecast minus actual, USD.'),
    coverage80: z
      .number()
      .nullable()
      .describe('Share of actual totals inside [p10, p90]; null where the forecaster has no interval.'),
    rows: z.int().describe('Number of totals: one for each member, target week and number of weeks ahead.'),
  })
  .meta({ id: 'LevelMetrics', description: "Errors of one forecaster's totals at a level." });

/** Baselines that the gate compares the candidate with. */
export const GATE_BASELINES = ['naive', 'seasonal_naive'] as const;
export const FORECASTERS = ['candidate', 'champion', 'simple', ...GATE_BASELINES, 'oracle'] as const;
export type Forecaster = (typeof FORECASTERS)[number];

/** Names of the forecasters in tables, plots and sentences. */
export const FORECASTER_LABELS: Record<Forecaster, string> = {
  candidate: 'candidate',
  champion: 'champion',
  simple: 'simple forecast',
  naive: 'naive forecast (last week)',
  seasonal_naive: 'seasonal naive forecast (last year)',
  oracle: 'oracle (best reachable)',
};

const forecasterSchema = z.enum(FORECASTERS).meta({
  id: 'Forecaster',
  description: 'Forecaster in the backtest. All are scored on exactly the same rows.',
});
const byForecaster = z.partialRecord(forecasterSchema, metricsSchema);

const comparisonSchema = z
  .object({
    slice: z.string().describe('`overall`, or the name of a slice.'),
    against: forecasterSchema,
    difference: z.number().describe('Relative WMAE difference; negative means that the candidate is better.'),
    lower: z
      .number()
      .describe("Lower end of the difference's 95 % interval (paired bootstrap of series and target weeks)."),
    upper: z.number().describe('Upper end of the interval.'),
    rows: z.int().describe('Number of rows.'),
    series: z.int().describe('Number of series.'),
    weeks: z.int().describe('Number of target weeks; a single one says nothing about others.'),
  })
  .meta({
    id: 'Comparison',
    description: 'Relative WMAE difference of the candidate and another forecaster, candidate / other - 1.',
  });
export type Comparison = z.infer<typeof comparisonSchema>;

const evaluatedSchema = z
  .object({
    overall: byForecaster.describe('Metrics of all horizons together.'),
    oneWeekAhead: byForecaster.describe('Metrics one week ahead.'),
    slices: z
      .record(z.string(), byForecaster)
      .describe(
        'Slice name (for example `store_type=A`, `holiday=true`, `volume=low`) to forecaster to metrics.',
      ),
    levels: z
      .record(z.string(), z.partialRecord(forecasterSchema, levelMetricsSchema))
      .optional()
      .describe('Level name (`store`, `dept`, `total`, or a declared one) to forecaster to metrics.'),
    slicesNotScored: z
      .array(
        z
          .object({
            slice: z.string().describe('Name of the slice.'),
            reason: z.string().describe('Reason in words.'),
          })
          .meta({ id: 'SliceNotScored', description: 'A slice without metrics or without some comparison.' }),
      )
      .describe('Slices without metrics or without some comparison, each with the reason.'),
    forecastersLeftOut: z
      .array(
        z
          .object({ forecaster: forecasterSchema, reason: z.string().describe('Reason in words.') })
          .meta({ id: 'ForecasterLeftOut', description: 'A forecaster that is not compared.' }),
      )
      .optional()
      .describe('Forecasters that can forecast too few rows to be compared, each with the reason.'),
    comparisons: z
      .array(comparisonSchema)
      .describe('Comparisons of the candidate with the champion and the two naive forecasts.'),
    testFirstWeek: isoDate.describe('First test week.'),
    testLastWeek: isoDate.describe('Last test week.'),
    analysisRowsUri: z
      .string()
      .describe('JSON lines of `AnalysisRow`: known weeks that the rollout sends to the deployed endpoint.'),
    reportUri: z.string().describe('Folder with the plots, metrics.json and model-card.md.'),
    modelCardUri: z.string().describe("Model card without the gate's decision; the one in MLflow has it."),
  })
  .meta({ id: 'Evaluated', description: 'Scores of a candidate, and the files made of them.' });
export type Evaluated = z.infer<typeof evaluatedSchema>;

export const evaluateResultSchema = z
  .object({
    ...evaluatedSchema.shape,
    simple: z
      .array(evaluatedSchema)
      .optional()
      .describe('Each simple forecast as the candidate, in the order of the spec.'),
    wide: evaluatedSchema
      .optional()
      .describe('The candidate with wider intervals, if there is one and its own hold too few actuals.'),
  })
  .meta({ id: 'EvaluateResult', description: 'Result of the evaluate job.' });
export type EvaluateResult = z.infer<typeof evaluateResultSchema>;

export const analysisRowSchema = z
  .object({
    ...instance,
    features: featureValuesSchema.describe("Candidate's features as of the origin; null is unknown."),
    actual: z.number().describe('Sales in the target week, USD.'),
    expected: z.array(z.number()).describe("The candidate's quantiles, in the order of its model.json."),
  })
  .meta({
    id: 'AnalysisRow',
    description:
      'One known week: features as of the origin, actual sales, and the forecast of the evaluated model.',
  });
export type AnalysisRow = z.infer<typeof analysisRowSchema>;

export const jobProgressSchema = z
  .object({
    message: z.string().describe('One line for people.'),
    fraction: z.number().min(0).max(1).optional().describe('Share done, 0 to 1.'),
    epoch: epochSchema.optional(),
    training: stepSchema.optional(),
  })
  .meta({ id: 'JobProgress', description: 'A line of progress.jsonl.' });
export type JobProgress = z.infer<typeof jobProgressSchema>;

export const jobErrorSchema = z
  .object({
    type: z.enum(ERROR_TYPES).meta({ id: 'ErrorType', description: 'Error type of contracts/errors.ts.' }),
    message: z.string().describe('Sentence for people.'),
  })
  .meta({ id: 'JobError', description: 'Content of error.json.' });
