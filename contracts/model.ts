/**
 * `model.json`, beside `model.onnx` in a model's folder: everything a predictor needs to serve the model.
 *
 * The graph's inputs are `features` (double [N, F], columns in the order of `features`, NaN where a value is
 * missing), `store`, `dept` and `horizon` (int64 [N]); its output `quantiles` is float [N, Q] in the unit of the sales,
 * columns in the order of `quantiles`, non-decreasing. Imputation, scaling and encodings are inside the graph.
 */
import { z } from 'zod';

/** Quantiles of an answer: p10, p50 and p90. */
export const SERVED_QUANTILES = [0.1, 0.5, 0.9];

/** Feature, and column of the view sales_history, that is null where the history of the series is estimated. */
export const AGE_FEATURE = 'weeks_since_first';

const modelFeature = z
  .strictObject({
    name: z.string().describe('Name in the graph and in requests that carry raw features.'),
    view: z.enum(['sales_history', 'store_externals', 'store_attributes', 'calendar']).meta({
      id: 'View',
      description: 'Feast feature view; `calendar` is read for the target week, the others for the origin.',
    }),
    column: z.string().describe('Column of the view; `{horizon}` stands for the number of weeks ahead.'),
  })
  .meta({ id: 'ModelFeature', description: 'A feature that a model reads.' });

const factors = z.array(z.number().min(0));

const levelScales = z
  .strictObject({
    coverage80: factors.describe('Factor for p10 and p90, by weeks ahead.'),
    coverage95: factors.describe('Factor for p2.5 and p97.5, by weeks ahead.'),
  })
  .meta({
    id: 'LevelScales',
    description:
      "Distances of a total's quantiles from its median, as shares of the summed distances of its series.",
  });

export const modelManifestSchema = z
  .strictObject({
    formatVersion: z.literal(1).describe('Version of this format.'),
    preset: z.string().describe('Preset of the model.'),
    dataset: z.string().describe('Name of the data set.'),
    feastProject: z.string().describe('Feast project of the data set.'),
    snapshotId: z.string().describe('Id of the snapshot that the model was trained on.'),
    featureSetVersion: z.string().describe('Version of the feature definitions.'),
    unit: z.string().optional().describe('Unit of the forecasts; absent where they are in USD.'),
    horizonWeeks: z.int().min(1).describe('Largest number of weeks ahead that the model answers.'),
    quantiles: z
      .array(z.number())
      .min(3)
      .refine(
        (levels) => SERVED_QUANTILES.every((level) => levels.includes(level)),
        'must contain 0.1, 0.5 and 0.9',
      )
      .describe('Quantile levels, ascending; contains 0.1, 0.5 and 0.9.'),
    features: z
      .array(modelFeature)
      .min(1)
      .refine(
        (features) => features.some(({ view }) => view === 'sales_history'),
        'must name a feature of sales_history, because that view gives the origin of a series',
      )
      .describe("Features in the order of the graph's columns."),
    levels: z
      .record(z.string(), levelScales)
      .optional()
      .describe('Levels whose totals the model answers; absent from models that were trained without them.'),
    onnxSha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .describe('SHA-256 of model.onnx, hex.'),
  })
  .meta({ id: 'ModelManifest', description: 'Content of model.json.' });

export type ModelManifest = z.infer<typeof modelManifestSchema>;
export type LevelScales = z.infer<typeof levelScales>;
export type ModelFeature = ModelManifest['features'][number];
