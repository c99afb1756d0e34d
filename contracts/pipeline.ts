/** Input and result of a pipeline run. Workflows import the types only: zod stays outside their sandbox. */
import { z } from 'zod';
import type { GateDecision } from './gate.ts';
import type { Evaluated, FeaturesResult, IngestResult, TrainResult } from './jobs.ts';
import { DEFAULT_MODEL_NAME } from './names.ts';
import type { RegisteredVersion, RolloutResult } from './rollout.ts';
import { generatedSource, nameDataset, sourceSchema } from './source.ts';
import type { SeriesId } from './series-id.ts';
import type { Stage, Verdict } from './stages.ts';
import { sentencesOf } from './zod-issues.ts';

export const trainOptions = z
  .strictObject({
    preset: z
      .enum([
        'global',
        'ensemble',
        'lstm',
        'mlp-11',
        'naive',
        'seasonal_naive',
        'moving_average',
        'seasonal_average',
        'structural',
        'croston',
        'tsb',
        'simple',
      ])
      .meta({ id: 'Preset', description: 'Name of a preset: a network, or a simple forecast.' })
      .default('global')
      .describe('Preset of the model (docs/training.md).'),
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
      .describe('The same bound in seconds of all GPUs together; without a GPU it has no effect.'),
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
      .describe("Share by which the candidate's WAPE in a step may be above the champion's."),
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
      // The name is part of table names, and PostgreSQL keeps only 63 letters of those.
      .regex(/^[a-z][a-z0-9_]{0,31}$/, 'must be at most 32 lower-case letters, digits and underscores')
      .optional()
      .describe(
        'Name of the data set; snapshots and feature tables of different data sets never mix. ' +
          "By default `generated` or the folder's name.",
      ),
    source: sourceSchema
      .default(generatedSource.parse({ kind: 'generated' }))
      .describe('Source of the sales data.'),
    maxBadRowShare: z
      .number()
      .min(0)
      .max(1)
      .default(0.01)
      .describe('Share of source rows that may be bad; above it the run stops and nothing is loaded.'),
    allow: z
      .array(z.string().regex(/^[a-z][a-z-]*$/, 'must be the name of a rule'))
      .optional()
      .describe('Names of data-quality rules that this run may break (docs/data.md).'),
    acknowledge: z
      .string()
      .regex(
        /^[0-9a-f]{12}$/,
        'must be the key in the message of the run that was stopped, 12 digits of 0-9 and a-f',
      )
      .optional()
      .describe(
        'Key of a stop by data-quality rules: this run loads the rows that were stopped, and no others (docs/data.md).',
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
 * Fills in the defaults; undefined and `{}` are valid inputs. Returns one sentence for each invalid value instead, when there
 * is any.
 */
export function resolvePipelineInput(raw: unknown): { input: ResolvedPipelineInput } | { issues: string[] } {
  const parsed = pipelineInputSchema.safeParse(raw ?? {});
  if (!parsed.success) {
    return { issues: sentencesOf(parsed.error) };
  }
  const named = nameDataset(parsed.data.source, parsed.data.dataset);
  return 'issue' in named
    ? { issues: [`dataset: ${named.issue}`] }
    : { input: { ...parsed.data, dataset: named.dataset } };
}

/** Input as a person or program writes it; every value has a default. */
export type PipelineInput = z.input<typeof pipelineInputSchema>;
/** Input of the stages, with every default set, `dataset` included. */
export type ResolvedPipelineInput = z.output<typeof pipelineInputSchema> & { dataset: string };
export type RolloutOptions = ResolvedPipelineInput['rollout'];
export type GateOptions = ResolvedPipelineInput['gate'];

export interface MonitorResult {
  modelVersion: number;
  /** Forecasts of the champion for the weeks after the snapshot. */
  forecastsRecorded: number;
  seriesForecast: number;
  /** Series of the snapshot without sales in its last weeks: closed, or so late that they are not forecast. */
  seriesLeftOut: number;
  /** Number of earlier forecasts that the actuals of this snapshot were compared with. */
  actualsCompared: number;
  /** WAPE of the compared forecasts; null when none was compared. */
  wape: number | null;
  /** Forecasts of up to five series for the next week. */
  samples: SampleForecast[];
}

export interface SampleForecast {
  store: SeriesId;
  dept: SeriesId;
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
  /** Scores of the registered version. */
  evaluate: Evaluated;
  gate: GateDecision;
  registered: RegisteredVersion;
  /** Null when the gate decided against the candidate. */
  rollout: RolloutResult | null;
  /** Null when no champion of this data set is deployed. */
  monitor: MonitorResult | null;
  stageSeconds: Partial<Record<Stage, number>>;
}
