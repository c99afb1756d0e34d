/** Difference between the forecasts of the deployed candidate and those of its backtest. */
import type { AnalysisRow } from '../contracts/jobs.ts';
import type { ModelManifest } from '../contracts/model.ts';
import { SERVED_QUANTILES } from '../contracts/model.ts';
import type { Prediction } from '../contracts/predict.ts';

/**
 * Largest allowed relative difference between deployed and evaluated forecasts. The float kernels of another build differ
 * by less; a wrong feature or graph differs by far more.
 */
export const PARITY_TOLERANCE = 1e-4;

/** Largest relative difference between deployed and evaluated p10, p50, p90 (relative to at least one dollar). */
export function parityDifference(
  manifest: Pick<ModelManifest, 'quantiles'>,
  rows: readonly Pick<AnalysisRow, 'expected'>[],
  predictions: readonly Prediction[],
): number {
  const columns = SERVED_QUANTILES.map((quantile) => manifest.quantiles.indexOf(quantile));
  const differences = rows.flatMap((row, i) => {
    const { p10, p50, p90 } = predictions[i] ?? { p10: NaN, p50: NaN, p90: NaN };
    return [p10, p50, p90].map((deployed, q) => {
      const evaluated = row.expected[columns[q] ?? -1] ?? NaN;
      return Math.abs(deployed - evaluated) / Math.max(1, Math.abs(evaluated));
    });
  });
  // A missing value counts as an infinite difference.
  return differences.some(Number.isNaN) ? Infinity : Math.max(0, ...differences);
}
