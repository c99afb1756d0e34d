/** Totals from made-up series: weeks ahead of late series, intervals, and levels that the model does not know. */
import { describe, expect, it } from 'vitest';
import { RequestError } from '../../predictor/errors.ts';
import { chunksOf, rowsOf, toTotal } from '../../predictor/totals.ts';
import { manifestOf } from './model-manifest.ts';

const DAY = 15_366;
const weeksBefore = (weeks: number): number => DAY - 7 * weeks;
const series = (store: number, late: number, storeLate = 0) => ({
  ...{ store, dept: 1 },
  ...{ day: weeksBefore(late), storeDay: weeksBefore(storeLate) },
});
const scales = { coverage80: [0.5, 2], coverage95: [1, 3] };
const manifest = {
  ...manifestOf([{ name: 'lag_1', view: 'sales_history', column: 'lag_1' }]),
  levels: { total: scales },
};
const TOTAL = { level: 'total', horizon: 2 };

describe('rows of a total', () => {
  it('are of one target week, whatever the newest weeks of the series are', () => {
    const { rows, newest, targetDay, behind } = rowsOf(TOTAL, [series(1, 0), series(2, 3, 3)], 5);
    expect(rows.map(({ horizon }) => horizon)).toEqual([undefined, undefined]);
    expect([newest, targetDay, behind]).toEqual([DAY, DAY + 14, 0]);
    const asked = { horizon: undefined, targetDay: DAY + 7 };
    expect(rowsOf(asked, [series(1, 0)], 5)).toMatchObject({ newest: DAY, targetDay: DAY + 7 });
  });

  it('take the farthest forecast of a series that skipped the newest weeks of its store', () => {
    const { rows, behind } = rowsOf(TOTAL, [series(1, 0), series(1, 4), series(1, 3)], 5);
    expect([rows.map(({ horizon }) => horizon), behind]).toEqual([[undefined, 5, undefined], 1]);
  });

  it('leave a store that has not reported to be refused', () => {
    const { rows, behind } = rowsOf(TOTAL, [series(1, 0), series(2, 4, 4)], 5);
    expect([rows.map(({ horizon }) => horizon), behind]).toEqual([[undefined, undefined], 0]);
  });

  it('are read in parts, and no more than a request may have', () => {
    const { rows } = rowsOf(TOTAL, new Array(25_000).fill(series(1, 0)), 5);
    expect(chunksOf(rows, 0).map(({ length }) => length)).toEqual([10_000, 10_000, 5_000]);
    expect(() => chunksOf(rows, 80_000)).toThrow(/more than 100000 series together/);
  });
});

describe('the interval of a total', () => {
  const plan = rowsOf({ horizon: 1 }, [series(1, 0), series(2, 0)], 5);

  it('is a share of the summed distances, that of its weeks ahead', () => {
    expect(toTotal(manifest, { level: 'total' }, 0, plan, [10, 20, 60])).toMatchObject({
      ...{ level: 'total', horizon: 1, series: 2, p10: 15, p50: 20, forecast: 20, p90: 40 },
    });
    const later = rowsOf(TOTAL, [series(1, 0)], 5);
    expect(toTotal(manifest, TOTAL, 0, later, [10, 20, 60])).toMatchObject({ p10: 0, p50: 20, p90: 100 });
  });

  it('ends below 0 only where the sum of p10 does', () => {
    const later = rowsOf(TOTAL, [series(1, 0)], 5);
    expect(toTotal(manifest, TOTAL, 0, later, [5, 20, 60]).p10).toBe(0);
    expect(toTotal(manifest, TOTAL, 0, later, [-5, 20, 60]).p10).toBe(-5);
  });

  it('is not known of a level with the name of a property that all objects have', () => {
    const asked = { level: 'constructor', horizon: 1 };
    expect(() => toTotal(manifest, asked, 0, plan, [1, 2, 3])).toThrow(
      'Instance 0: "constructor" is not a level of this model, which knows total;',
    );
  });

  it('is not known to a model that was trained without levels', () => {
    const without = { ...manifest, levels: {} };
    expect(() => toTotal(without, TOTAL, 3, plan, [1, 2, 3])).toThrow(RequestError);
    expect(() => toTotal(without, TOTAL, 3, plan, [1, 2, 3])).toThrow(
      'Instance 3: this model was trained without levels; run the pipeline to train one that answers totals.',
    );
  });
});
