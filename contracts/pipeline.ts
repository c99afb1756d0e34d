/** Input and result of a pipeline run. Workflows import the types only: zod stays outside their sandbox. */
import { z } from 'zod';
import type { Comparison, EvaluateResult, FeaturesResult, IngestResult, TrainResult } from './jobs.ts';
import { DEFAULT_MODEL_NAME } from './names.ts';
import type { Stage, Verdict } from './stages.ts';

const generatedSource = z.strictObject({
  kind: z.literal('generated'),
  stores: z.int().min(1).max(10_000).default(45),
  departments: z.int().min(1).max(98).default(14),
  weeks: z.int().min(60).max(1_040).default(104),
  seed: z.int().min(0).default(7),
});

const walmartSource = z.strictObject({
  kind: z.literal('walmart-csv'),
  /** Absolute path of a folder with train.csv, features.csv and stores.csv. */
  path: z.string().startsWith('/', 'must be an absolute path'),
});

const columnName = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,39}$/, 'must be at most 40 lower-case letters, digits and underscores');

/** Columns of the user's own (docs/data.md); the ingest job refuses names that mean something else. */
const ownColumns = z.array(
  z.discriminatedUnion('of', [
    z.strictObject({
      name: columnName,
      of: z.enum(['series_week', 'store_week']),
      /** The value of week w is known at the end of week w + this; below 0 it is announced before. */
      knownAfterWeeks: z.int().min(-52).max(52),
      description: z.string().min(1),
    }),
    z.strictObject({ name: columnName, of: z.literal('store'), description: z.string().min(1) }),
  ]),
);

/** docs/data.md describes the layout. */
const longSource = z.strictObject({
  kind: z.literal('long'),
  /** Absolute path, or URL, of a folder with sales.csv or sales.parquet, or of one file of sales. */
  path: z
    .string()
    .regex(/^(\/|https?:\/\/.|s3:\/\/.)/, 'must be an absolute path or an http, https or s3 URL'),
  /** Of CSV; Parquet has none. */
  encoding: z.enum(['utf-8', 'latin-1']).default('utf-8'),
  /** Counts instead of the folder's columns.json. */
  columns: ownColumns.optional(),
});

/** Each query answers with the columns of a file in the long layout. */
const postgresSource = z.strictObject({
  kind: z.literal('postgres'),
  /** Environment variable of the job with the database's address: the address itself would stay in the run's history. */
  addressVariable: z.string().regex(/^[A-Z][A-Z0-9_]*$/, 'must be the name of an environment variable'),
  sales: z.string().min(1),
  seriesWeeks: z.string().min(1).optional(),
  storeWeeks: z.string().min(1).optional(),
  stores: z.string().min(1).optional(),
  columns: ownColumns.optional(),
});

const trainOptions = z.strictObject({
  /** Of the network; docs/training.md describes them. */
  preset: z.enum(['global', 'ensemble', 'lstm', 'mlp-11']).default('global'),
  /** At most as many as the training data has files: each process reads its own. */
  processes: z.int().min(1).max(16).default(2),
  maxEpochs: z.int().min(1).max(1_000).default(12),
  batchSize: z.int().min(16).max(65_536).default(1_024),
  learningRate: z.number().positive().max(1).default(0.002),
  seed: z.int().min(0).default(7),
  /**
   * The training stops there, at the end of a step, with the best model so far. Restarts go on counting from their checkpoint;
   * starting processes, reading and exporting are not counted.
   */
  maxWallTimeMinutes: z.number().positive().optional(),
  /** The same for seconds of all GPUs together. Without a GPU none pass. */
  gpuSeconds: z.number().positive().optional(),
  /** Tries other values of learningRate, batchSize and the weight decay on the validation weeks first. */
  search: z.strictObject({ trials: z.int().min(1).max(500) }).optional(),
});

const gateOptions = z.strictObject({
  /** The candidate's WMAE must be at least this share below each baseline's (0 = merely not worse). */
  minImprovementOverBaselines: z.number().min(0).max(0.9).default(0),
  /** The candidate's WMAE may be at most this share above the champion's. */
  maxRegressionAgainstChampion: z.number().min(0).max(1).default(0.02),
  /** Bounds of the share of actuals inside the 80 % interval. */
  coverage80: z.tuple([z.number().min(0).max(1), z.number().min(0).max(1)]).default([0.65, 0.95]),
  /** In a slice the candidate's WMAE may be at most this share above the champion's and each baseline's: 0.1 when absent. */
  maxRegressionInSlice: z.number().min(0).max(1).optional(),
  /** What is done where the backtest is too small to tell: `pass` (when absent) reports it, `approval` asks a person. */
  onInconclusive: z.enum(['pass', 'approval']).optional(),
});

const rolloutOptions = z.strictObject({
  /** How long a version may take to be ready: 300 when absent. A cluster that must first add a machine takes longer. */
  readyWithinSeconds: z.int().min(10).max(3_600).optional(),
  /** Percent of traffic that the candidate gets, step by step; the last step is 100. */
  stepsPercent: z
    .array(z.int().min(1).max(100))
    .min(1)
    .refine((steps) => steps.every((s, i) => i === 0 || s > (steps[i - 1] ?? 0)), 'must grow')
    .refine((steps) => steps.at(-1) === 100, 'must end with 100')
    .default([10, 50, 100]),
  /** Requests that the candidate must have answered before a step may pass. */
  minRequestsPerStep: z.int().min(1).default(40),
  /** Forecasts of the candidate that must have been compared with actuals before a step may pass. */
  minComparedPerStep: z.int().min(1).default(200),
  /** Share of the candidate's requests that may fail. */
  maxErrorRate: z.number().min(0).max(1).default(0.01),
  /** The candidate's absolute error on the step's evidence may be at most this share above the champion's. */
  maxRegression: z.number().min(0).default(0.1),
  approval: z.enum(['automatic', 'required']).default('automatic'),
});

export const pipelineInputSchema = z.strictObject({
  modelName: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and dashes')
    .default(DEFAULT_MODEL_NAME),
  /**
   * Name of the data set; snapshots and feature tables of different data sets never mix. It is part of table names,
   * of which PostgreSQL keeps 63 letters.
   */
  dataset: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,31}$/, 'must be at most 32 lower-case letters, digits and underscores')
    .optional(),
  source: z
    .discriminatedUnion('kind', [generatedSource, walmartSource, longSource, postgresSource])
    .default(generatedSource.parse({ kind: 'generated' })),
  /** Share of source rows that may be bad; above it the run stops and nothing is loaded. */
  maxBadRowShare: z.number().min(0).max(1).default(0.01),
  /** Rules of the quality gate that this run may break on purpose, by the names that a stopped run's message has. */
  allow: z.array(z.string().regex(/^[a-z][a-z-]*$/, 'must be the name of a rule')).optional(),
  /** Weeks ahead to forecast. */
  horizonWeeks: z.int().min(1).max(39).default(8),
  /** Newest target weeks kept for the backtest; the model never sees them. */
  testWeeks: z.int().min(1).max(52).default(8),
  /** Target weeks before those, for early stopping and interval calibration. */
  validationWeeks: z.int().min(1).max(52).default(8),
  train: trainOptions.default(trainOptions.parse({})),
  gate: gateOptions.default(gateOptions.parse({})),
  rollout: rolloutOptions.default(rolloutOptions.parse({})),
});

/**
 * Decides every value of what a person or program wrote; nothing at all and `{}` are fine. Otherwise one sentence
 * for each wrong value, with its path.
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

/** One sentence for each wrong value, with its path. */
export const sentencesOf = (error: z.ZodError): string[] =>
  error.issues.map((issue) => `${issue.path.join('.') || 'the input'}: ${issue.message}`);

const GENERATED_DATASET = 'generated';

type Source = z.output<typeof pipelineInputSchema>['source'];

/** A path or URL of kind `long` that ends so is one file of sales, not a folder. */
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

/** What a person or program writes: everything has a default. */
export type PipelineInput = z.input<typeof pipelineInputSchema>;
/** What the stages get: every value decided, `dataset` included. */
export type ResolvedPipelineInput = z.output<typeof pipelineInputSchema> & { dataset: string };
export type RolloutOptions = ResolvedPipelineInput['rollout'];
export type GateOptions = ResolvedPipelineInput['gate'];

export interface GateCheck {
  name: string;
  passed: boolean;
  /** One sentence with the numbers that decided. */
  reason: string;
}

/** What the interval of a comparison says; docs/evaluation.md. */
export interface GateComparison extends Comparison {
  /** Largest difference that is allowed. */
  margin: number;
  outcome: 'better' | 'notWorse' | 'inconclusive' | 'worse';
}

export interface GateDecision {
  /** `needsApproval`: nothing speaks against the candidate, but the backtest is too small to be sure. */
  verdict: 'pass' | 'fail' | 'needsApproval';
  checks: GateCheck[];
  /** Overall and by slice. Absent from decisions on backtests without comparisons. */
  comparisons?: GateComparison[];
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

/** What one canary step saw; the decision of the step rests on these numbers alone. */
export interface StepEvidence {
  weightPercent: number;
  /** Requests sent in this step, by model version. */
  requests: Record<string, number>;
  /** Requests that a version answered with an error. */
  failedRequests: Record<string, number>;
  /** Requests that the router could not hand to a version and gave to another one. */
  unreachable: Record<string, number>;
  /** Different known weeks that were compared with actuals, by model version; the same weeks for all versions. */
  compared: Record<string, number>;
  /** Weighted absolute percentage error on the compared forecasts, by model version. */
  wape: Record<string, number>;
  /** Largest relative difference between the deployed candidate's p50 and the evaluated one. */
  maxParityDifference: number;
}

/** What is decided on a step's evidence. An inconclusive step is repeated; it never promotes. */
export interface StepDecision {
  outcome: 'pass' | 'fail' | 'inconclusive';
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
  steps: StepEvidence[];
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
