/** Known weeks, and versions that forecast them by a factor: nothing random, so every number can be told ahead. */
import type { AnalysisRow } from '../../contracts/jobs.ts';
import type { PredictInstance, Prediction } from '../../contracts/predict.ts';

/** In an order and number that no position can be guessed from. */
export const manifest = { quantiles: [0.05, 0.1, 0.5, 0.9] };

/** The evaluated candidate forecasts 10 % too much. */
export const CANDIDATE_FACTOR = 1.1;

const quantilesOf = (sales: number, factor: number) => ({
  forecast: sales * factor,
  p10: sales * factor * 0.8,
  p50: sales * factor,
  p90: sales * factor * 1.2,
});

export function analysisRows(count: number): AnalysisRow[] {
  return Array.from({ length: count }, (_, i) => {
    const actual = 100 + i;
    const { p10, p50, p90 } = quantilesOf(actual, CANDIDATE_FACTOR);
    return {
      store: 1 + (i % 7),
      dept: i,
      horizon: 1 + (i % 4),
      targetWeek: '2025-11-28',
      features: { sales_0: actual, temperature: null },
      actual,
      expected: [0, p10, p50, p90],
    };
  });
}

export const forecastsBy =
  (factor: number) =>
  (instances: readonly PredictInstance[]): Prediction[] =>
    instances.map(({ store, dept, horizon = 0, features }) => ({
      store,
      dept,
      horizon,
      origin: null,
      targetWeek: null,
      ...quantilesOf(features?.['sales_0'] ?? NaN, factor),
    }));
