/**
 * `model.json`, beside `model.onnx` in a model's folder: everything a predictor needs to serve the model.
 *
 * The graph's inputs are `features` (double [N, F], columns in the order of `features`, NaN where a value is
 * missing), `store`, `dept` and `horizon` (int64 [N]); its output `quantiles` is float [N, Q] in US dollars,
 * columns in the order of `quantiles`, non-decreasing. Imputation, scaling and encodings are inside the graph.
 */
import { z } from 'zod';

const modelFeature = z.strictObject({
  /** Name in the graph and in requests that carry raw features. */
  name: z.string(),
  /** Feast feature view that has the column; `calendar` is read for the target week, the others for the origin. */
  view: z.enum(['sales_history', 'store_externals', 'store_attributes', 'calendar']),
  /** Column of the view; `{horizon}` stands for the number of weeks ahead. */
  column: z.string(),
});

export const modelManifestSchema = z.strictObject({
  formatVersion: z.literal(1),
  preset: z.string(),
  dataset: z.string(),
  feastProject: z.string(),
  snapshotId: z.string(),
  featureSetVersion: z.string(),
  /** Largest horizon in weeks that the model answers. */
  horizonWeeks: z.int().min(1),
  /** Quantile levels, ascending; contains 0.1, 0.5 and 0.9. */
  quantiles: z.array(z.number()).min(3),
  features: z.array(modelFeature).min(1),
  /** SHA-256 of model.onnx, hex. */
  onnxSha256: z.string().regex(/^[0-9a-f]{64}$/),
});

export type ModelManifest = z.infer<typeof modelManifestSchema>;
export type ModelFeature = ModelManifest['features'][number];
