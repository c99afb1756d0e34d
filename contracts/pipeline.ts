/** Input and result of a pipeline run. Workflows import the types only: zod stays outside their sandbox. */
import { z } from 'zod';
import type { Comparison, EvaluateResult, FeaturesResult, IngestResult, TrainResult } from './jobs.ts';
import { DEFAULT_MODEL_NAME } from './names.ts';
import type { Stage, Verdict } from './stages.ts';

const generatedSource = z
  .strictObject({
    kind: z.literal('generated').describe('Kind of the source.'),
    stores: z.int().min(1).max(10_000).default(45).describe('Number of stores.'),
    departments: z.int().min(1).max(98).default(14).describe('Number of departments.'),
    weeks: z.int().min(60).max(1_040).default(104).describe('Number of weeks of sales.'),
    seed: z.int().min(0).default(7).describe('Seed of the generator.'),
  })
  .meta({ id: 'GeneratedSource', description: 'Sales made by the generator.' });

const walmartSource = z
  .strictObject({
    kind: z.literal('walmart-csv').describe('Kind of the source.'),
    path: z
      .string()
      .startsWith('/', 'must be an absolute path')
      .describe('Absolute path of a folder with train.csv, features.csv and stores.csv.'),
  })
  .meta({ id: 'WalmartSource', description: 'A folder in the layout of the Walmart competition.' });

const columnName = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,39}$/, 'must be at most 40 lower-case letters, digits and underscores');

const description = z.string().min(1).describe('Meaning of the column, for people.');

/** Covariates that the user adds (docs/data.md); the ingest job refuses names that mean something else. */
const covariates = z.array(
  z
    .discriminatedUnion('of', [
      z
        .strictObject({
          name: columnName.describe('Name of the column.'),
          of: z
            .enum(['series_week', 'store_week'])
            .describe('Key of its values: series and week, or store and week.'),
          knownAfterWeeks: z
            .int()
            .min(-52)
            .max(52)
            .describe(
              'The value of week w is known at the end of week w + knownAfterWeeks; ' +
                'a negative number means known in advance.',
            ),
          description,
        })
        .meta({ id: 'WeeklyCovariate', description: 'A column with a value for each week.' }),
      z
        .strictObject({
          name: columnName.describe('Name of the column.'),
          of: z.literal('store').describe('Key of its values: the store.'),
          description,
        })
        .meta({ id: 'StaticCovariate', description: 'A column with one value for each store.' }),
    ])
    .meta({ id: 'Covariate', description: 'A column that the user adds to the sales.' }),
);

const longSource = z
  .strictObject({
    kind: z.literal('long').describe('Kind of the source.'),
    path: z
      .string()
      .regex(/^(\/|https?:\/\/.|s3:\/\/.)/, 'must be an absolute path or an http, https or s3 URL')
      .describe(
        'Absolute path or URL of a folder with sales.csv or sales.parquet, or of a single file of sales.',
      ),
    encoding: z
      .enum(['utf-8', 'latin-1'])
      .default('utf-8')
      .describe('Encoding of CSV files; Parquet files need none.'),
    columns: covariates.optional().describe("Covariates; they replace the folder's columns.json."),
  })
  .meta({ id: 'LongSource', description: 'Files in the long layout (docs/data.md).' });

const postgresSource = z
  .strictObject({
    kind: z.literal('postgres').describe('Kind of the source.'),
    addressVariable: z
      .string()
      .regex(/^[A-Z][A-Z0-9_]*$/, 'must be the name of an environment variable')
      .describe(
        "Environment variable of the job that holds the database's address; " +
          "the address itself would stay in the run's history.",
      ),
    sales: z.string().min(1).describe('Query for the rows of sales.'),
    seriesWeeks: z.string().min(1).optional().describe('Query for the covariates of series and week.'),
    storeWeeks: z.string().min(1).optional().describe('Query for the covariates of store and week.'),
    stores: z.string().min(1).optional().describe('Query for the stores and their static covariates.'),
    columns: covariates.optional().describe('Covariates among the columns of the queries.'),
  })
  .meta({
    id: 'PostgresSource',
    description: 'Queries on a PostgreSQL; each returns the columns of a file in the long layout.',
  });

export const sourceSchema = z
  .discriminatedUnion('kind', [generatedSource, walmartSource, longSource, postgresSource])
  .meta({ id: 'Source', description: 'Origin of the sales data.' });

export const trainOptions = z
  .strictObject({
    preset: z
      .enum(['global', 'ensemble', 'lstm', 'mlp-11'])
      .meta({ id: 'Preset', description: 'Name of a network preset.' })
      .default('global')
      .describe('Preset of the network (docs/training.md).'),
    processes: z
      .int()
      .min(1)
      .max(16)
      .default(2)
      .describe(
        'Number of training processes. Each reads its own files of the training data, ' +
          'so there can be no more processes than files.',
      ),
    maxEpochs: z.int().min(1).max(1_000).default(12).describe('Upper bound of epochs.'),
    batchSize: z.int().min(16).max(65_536).default(1_024).describe('Samples in a minibatch.'),
    learningRate: z.number().positive().max(1).default(0.002).describe('Peak learning rate.'),
    seed: z.int().min(0).default(7).describe('Seed of initial weights and shuffling.'),
    maxWallTimeMinutes: z
      .number()
      .positive()
      .optional()
      .describe(
        'Wall time after which the training stops at the end of a step and keeps the best model so far. ' +
          'A restart continues to count from its checkpoint; ' +
          'starting processes, reading and exporting are not counted.',
      ),
    gpuSeconds: z
      .number()
      .positive()
      .optional()
      .describe('The same bound in seconds of all GPUs together; without a GPU it is never reached.'),
    search: z
      .strictObject({ trials: z.int().min(1).max(500).describe('Number of trials.') })
      .meta({ id: 'SearchOptions', description: 'Options of the parameter search.' })
      .optional()
      .describe(
        'Search for learningRate, batchSize and weight decay on the validation weeks before the training.',
      ),
  })
  .meta({ id: 'TrainOptions', description: 'Options of the train stage.' });

const gateOptions = z
  .strictObject({
    minImprovementOverBaselines: z
      .number()
      .min(0)
      .max(0.9)
      .default(0)
      .describe("Share by which the candidate's WMAE must be below each baseline's; 0 means not worse."),
    maxRegressionAgainstChampion: z
      .number()
      .min(0)
      .max(1)
      .default(0.02)
      .describe("Share by which the candidate's WMAE may be above the champion's."),
    coverage80: z
      .tuple([z.number().min(0).max(1), z.number().min(0).max(1)])
      .default([0.65, 0.95])
      .describe('Lower and upper bound of the share of actuals inside the 80 % interval.'),
    maxRegressionInSlice: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe(
        "Share by which the candidate's WMAE in a slice may be above the champion's and each baseline's.",
      ),
    onInconclusive: z
      .enum(['pass', 'approval'])
      .default('pass')
      .describe(
        'Action where the backtest is too small to decide: `pass` reports it, `approval` asks a person.',
      ),
  })
  .meta({ id: 'GateOptions', description: 'Options of the promotion gate (docs/evaluation.md).' });

const rolloutOptions = z
  .strictObject({
    readyWithinSeconds: z
      .int()
      .min(10)
      .max(3_600)
      .default(300)
      .describe(
        'Time limit for a version to become ready. A cluster that must first add a machine takes longer.',
      ),
    stepsPercent: z
      .array(z.int().min(1).max(100))
      .min(1)
      .refine((steps) => steps.every((s, i) => i === 0 || s > (steps[i - 1] ?? 0)), 'must grow')
      .refine((steps) => steps.at(-1) === 100, 'must end with 100')
      .default([10, 50, 100])
      .describe("Candidate's percentage of the traffic, step by step; the last step is 100."),
    minRequestsPerStep: z
      .int()
      .min(1)
      .default(40)
      .describe('Requests that the candidate must answer before a step may succeed.'),
    minComparedPerStep: z
      .int()
      .min(1)
      .default(200)
      .describe('Forecasts of the candidate that must be compared with actuals before a step may succeed.'),
    maxErrorRate: z
      .number()
      .min(0)
      .max(1)
      .default(0.01)
      .describe("Share of the candidate's requests that may fail."),
    maxRegression: z
      .number()
      .min(0)
      .default(0.1)
      .describe("Share by which the candidate's absolute error in a step may be above the champion's."),
    approval: z
      .enum(['automatic', 'required'])
      .default('automatic')
      .describe('Whether a person must approve the candidate before it gets traffic.'),
  })
  .meta({ id: 'RolloutOptions', description: 'Options of the rollout stage.' });

export const pipelineInputSchema = z
  .strictObject({
    modelName: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and dashes')
      .default(DEFAULT_MODEL_NAME)
      .describe('Name of the registered model.'),
    dataset: z
      .string()
      // It is part of table names, of which PostgreSQL keeps 63 letters.
      .regex(/^[a-z][a-z0-9_]{0,31}$/, 'must be at most 32 lower-case letters, digits and underscores')
      .optional()
      .describe(
        'Name of the data set; snapshots and feature tables of different data sets never mix. ' +
          "By default `generated` or the folder's name.",
      ),
    source: sourceSchema
      .default(generatedSource.parse({ kind: 'generated' }))
      .describe('Origin of the sales data.'),
    maxBadRowShare: z
      .number()
      .min(0)
      .max(1)
      .default(0.01)
      .describe('Share of source rows that may be bad; above it the run stops and nothing is loaded.'),
    allow: z
      .array(z.string().regex(/^[a-z][a-z-]*$/, 'must be the name of a rule'))
      .optional()
      .describe(
        'Data-quality checks that this run may violate on purpose, ' +
          "by the names in a stopped run's message.",
      ),
    horizonWeeks: z.int().min(1).max(39).default(8).describe('Weeks ahead to forecast.'),
    testWeeks: z
      .int()
      .min(1)
      .max(52)
      .default(8)
      .describe('Newest target weeks, kept for the backtest; the model never sees them.'),
    validationWeeks: z
      .int()
      .min(1)
      .max(52)
      .default(8)
      .describe('Target weeks before the test weeks, for early stopping and interval calibration.'),
    train: trainOptions.default(trainOptions.parse({})),
    gate: gateOptions.default(gateOptions.parse({})),
    rollout: rolloutOptions.default(rolloutOptions.parse({})),
  })
  .meta({ id: 'PipelineInput', description: 'Input of a pipeline run; every value has a default.' });

/**
 * Sets every default of an input; undefined and `{}` are valid. Otherwise returns one sentence for each wrong value, with
 * its path.
 */
export function resolvePipelineInput(raw: unknown): { input: ResolvedPipelineInput } | { issues: string[] } {
  const parsed = pipelineInputSchema.safeParse(raw ?? {});
  if (!parsed.success) {
    return { issues: sentencesOf(parsed.error) };
  }
  const dataset = parsed.data.dataset ?? defaultDataset(parsed.data.source);
  if (dataset === '') {
    return { issues: [`dataset: ${whyUnnamed(parsed.data.source)}; name it`] };
  }
  if (dataset === GENERATED_DATASET && parsed.data.source.kind !== 'generated') {
    return { issues: [`dataset: "${GENERATED_DATASET}" is the generator's; name another for your own data`] };
  }
  return { input: { ...parsed.data, dataset } };
}

/** Returns one sentence for each wrong value, with its path. */
export const sentencesOf = (error: z.ZodError): string[] =>
  error.issues.map((issue) => `${issue.path.join('.') || 'the input'}: ${issue.message}`);

const GENERATED_DATASET = 'generated';

type Source = z.output<typeof pipelineInputSchema>['source'];

/** Path or URL of kind `long` that names a single file of sales, not a folder. */
export const SALES_FILE = /\.(csv|parquet)$/i;

function whyUnnamed(source: Source): string {
  if (source.kind === 'postgres') return 'queries have no name';
  return isSalesFile(source)
    ? 'a file of new weeks does not name its data set'
    : 'cannot be made from the name of the folder in source.path';
}

function isSalesFile(source: Source): boolean {
  return source.kind === 'long' && SALES_FILE.test(source.path.replace(/\?.*/, ''));
}

function defaultDataset(source: Source): string {
  if (source.kind === 'generated') return GENERATED_DATASET;
  if (source.kind === 'postgres' || isSalesFile(source)) return '';
  const folder =
    source.path
      .replace(/\?.*/, '')
      .split('/')
      .findLast((part) => part !== '') ?? '';
  return folder
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^[^a-z]+|_+$/g, '')
    .slice(0, 32);
}

/** Input as a person or program writes it; everything has a default. */
export type PipelineInput = z.input<typeof pipelineInputSchema>;
/** Input of the stages, with every default set, `dataset` included. */
export type ResolvedPipelineInput = z.output<typeof pipelineInputSchema> & { dataset: string };
export type RolloutOptions = ResolvedPipelineInput['rollout'];
export type GateOptions = ResolvedPipelineInput['gate'];

export interface GateCheck {
  name: string;
  passed: boolean;
  /** One sentence with the numbers that decided. */
  reason: string;
}

/** Comparison with its margin and outcome (docs/evaluation.md). */
export interface GateComparison extends Comparison {
  /** Largest allowed difference. */
  margin: number;
  outcome: 'better' | 'notWorse' | 'inconclusive' | 'worse';
}

export interface GateDecision {
  /** `needsApproval`: no check failed, but the backtest is too small to be sure. */
  verdict: 'pass' | 'fail' | 'needsApproval';
  checks: GateCheck[];
  /** Overall and by slice. */
  comparisons: GateComparison[];
}

export interface RegisteredVersion {
  modelName: string;
  version: number;
  /** Id of the MLflow run that the version came from. */
  runId: string;
  /** Folder with model.onnx and model.json. */
  modelUri: string;
  modelHash: string;
  dataset: string;
}

export interface RolloutParties {
  candidate: RegisteredVersion;
  /** The version that serves all traffic when the rollout starts, whatever its data set; null for the first model. */
  champion: RegisteredVersion | null;
}

/** Numbers that one canary step collected; its decision rests on these alone. */
export interface StepAnalysis {
  weightPercent: number;
  /** Requests sent in this step, by model version. */
  requests: Record<string, number>;
  /** Requests that a version answered with an error. */
  failedRequests: Record<string, number>;
  /** Requests that the router could not hand to a version and gave to another one. */
  unreachable: Record<string, number>;
  /** Number of distinct known weeks that were compared with actuals, by model version; all versions have the same weeks. */
  compared: Record<string, number>;
  /** Weighted absolute percentage error on the compared forecasts, by model version. */
  wape: Record<string, number>;
  /** Largest relative difference between the deployed candidate's p50 and the evaluated one. */
  maxParityDifference: number;
}

/** Decision on a step's analysis. An inconclusive step is repeated; it never promotes. */
export interface StepDecision {
  outcome: 'successful' | 'failed' | 'inconclusive';
  /** One sentence with the numbers that decided. */
  reason: string;
}

export interface RolloutResult {
  verdict: Verdict;
  /** `first-model`: there was no champion on this data set, so the candidate took the short path. */
  path: 'first-model' | 'canary';
  reason: string;
  version: number;
  previousVersion: number | null;
  steps: StepAnalysis[];
}

export interface MonitorResult {
  modelVersion: number;
  /** Forecasts of the champion for the weeks after the snapshot. */
  forecastsRecorded: number;
  seriesForecast: number;
  /** Series of the snapshot without sales in its last week: closed or late, so not forecast. */
  seriesLeftOut: number;
  /** Earlier forecasts whose actuals came in with this snapshot. */
  actualsCompared: number;
  /** WAPE of those, null when there were none. */
  wape: number | null;
  /** Up to five series, next week. */
  samples: SampleForecast[];
}

export interface SampleForecast {
  store: number;
  dept: number;
  targetWeek: string;
  p10: number;
  p50: number;
  p90: number;
}

export interface PipelineResult {
  modelName: string;
  dataset: string;
  verdict: Verdict;
  reason: string;
  ingest: IngestResult;
  features: FeaturesResult;
  train: TrainResult;
  evaluate: EvaluateResult;
  gate: GateDecision;
  registered: RegisteredVersion;
  /** Null when the gate decided against the candidate. */
  rollout: RolloutResult | null;
  /** Null when no champion of this data set is deployed. */
  monitor: MonitorResult | null;
  stageSeconds: Partial<Record<Stage, number>>;
}
