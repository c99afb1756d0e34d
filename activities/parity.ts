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
  const columns = SERVED_QUANTILES.map((level) => manifest.quantiles.indexOf(level));
  const differences = rows.flatMap((row, i) => {
    const prediction = predictions[i];
    const deployed = [prediction?.p10, prediction?.p50, prediction?.p90];
    return columns.map((column, q) => {
      const evaluated = row.expected[column] ?? NaN;
      return Math.abs((deployed[q] ?? NaN) - evaluated) / Math.max(1, Math.abs(evaluated));
    });
  });
  // A missing value counts as an infinite difference.
  return differences.some(Number.isNaN) ? Infinity : Math.max(0, ...differences);
}
