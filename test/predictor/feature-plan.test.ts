/** Plans of reads: distinct entities, the columns of the horizons, and where each row finds its values. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { planCalendar, planSeries, uniqueKeys, viewsOf } from '../../predictor/feature-plan.ts';
import { manifestOf } from './model-manifest.ts';

const manifest = manifestOf([
  { name: 'size', view: 'store_attributes', column: 'size' },
  { name: 'lag_1', view: 'sales_history', column: 'lag_1' },
  { name: 'is_holiday', view: 'calendar', column: 'is_holiday' },
  { name: 'last_year', view: 'sales_history', column: 'last_year_h{horizon}' },
]);
const views = viewsOf(manifest);

const row = (instance: number, store: number, dept: number, horizon: number) => ({
  ...{ instance, store, dept, horizon },
});

it('gives each row the index of its key, and each key its first row', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(5), fc.constantFrom('0', 'a'))), (keys) => {
      const { representatives, indexOf } = uniqueKeys(keys);
      expect(keys.map((_key, i) => keys[representatives[indexOf[i] ?? -1] ?? -1])).toEqual(keys);
      expect(representatives).toEqual([...new Set(keys)].map((key) => keys.indexOf(key)));
    }),
  );
});

it('reads the columns of a single horizon by a separate statement', () => {
  const { sales, stores } = planSeries(views, [row(0, 1, 2, 12), row(1, 1, 3, 12), row(2, 1, 2, 12)]);
  expect(sales.columns).toMatchObject({ statement: 'sales_history:12', names: ['lag_1', 'last_year_h12'] });
  expect(sales.view).toMatchObject({ table: 'p_sales_history', positions: Int32Array.of(1, 3) });
  expect([sales.entities.values, sales.entityOf]).toEqual([
    [
      [1, 1],
      [2, 3],
    ],
    Int32Array.of(0, 1, 0),
  ]);
  expect(stores.map(({ entities, entityOf }) => [entities.values, entityOf])).toEqual([
    [[[1]], Int32Array.of(0, 0, 0)],
  ]);
});

it('reads the columns of all horizons when they are mixed, each once', () => {
  const { sales } = planSeries(views, [row(0, 1, 2, 1), row(1, 1, 2, 12)]);
  expect(sales.columns.statement).toBe('sales_history:all');
  expect(sales.columns.names).toHaveLength(13);
  for (const horizon of [1, 2, 12]) {
    const columns = [...(sales.columns.columnOf.get(horizon) ?? [])].map((c) => sales.columns.names[c]);
    expect(columns).toEqual(['lag_1', `last_year_h${horizon}`]);
  }
});

it('asks the views of a store for it once, and those that the model lacks for nothing', () => {
  const rows = [row(0, 7, 2, 1), row(1, 7, 3, 1), row(2, 5, 2, 1)];
  const { sales, stores } = planSeries(
    viewsOf(
      manifestOf([
        { name: 'size', view: 'store_attributes', column: 'size' },
        { name: 'lag_1', view: 'sales_history', column: 'lag_1' },
        { name: 'temperature', view: 'store_externals', column: 'temperature' },
      ]),
    ),
    rows,
  );
  expect(sales.entities).toMatchObject({ names: ['store', 'dept'], type: 'bigint' });
  const entities = { names: ['store'], type: 'bigint', values: [[7, 5]] };
  expect(stores.map((read) => [read.view.table, read.columns.statement, read.entities])).toEqual([
    ['p_store_externals', 'store_externals:1', entities],
    ['p_store_attributes', 'store_attributes:1', entities],
  ]);
  const onlySales = viewsOf(manifestOf([{ name: 'lag_1', view: 'sales_history', column: 'lag_1' }]));
  expect(onlySales).toMatchObject({ stores: [], calendar: undefined });
  expect(() => viewsOf(manifestOf([]))).toThrow('the manifest names no feature of sales_history');
});

it('reads each target week once', () => {
  if (views.calendar === undefined) throw new Error('no calendar');
  const weeks = ['2012-02-10', '2012-02-03', '2012-02-10'];
  const rows = [row(0, 1, 2, 2), row(1, 1, 2, 1), row(2, 2, 2, 2)];
  expect(planCalendar(views.calendar, rows, weeks)).toMatchObject({
    entities: { names: ['week'], type: 'text', values: [['2012-02-10', '2012-02-03']] },
    entityOf: Int32Array.of(0, 1, 0),
  });
});
