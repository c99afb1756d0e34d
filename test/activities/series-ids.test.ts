/** Ids as users have them; records.test.ts reads them from PostgreSQL. */
import { expect, test } from 'vitest';
import { readSeriesIds } from '../../activities/series-ids.ts';

type Database = Parameters<typeof readSeriesIds>[0];
type Row = { of: 'store' | 'dept'; number: number; id: string };

const idsOf = (rows: Row[]) =>
  readSeriesIds({ query: () => Promise.resolve({ rows }) } as unknown as Database, 'shop');

test.each<[string, Row[], (number | string)[]]>([
  ['numbers without any id', [], [1, 2]],
  [
    'numbers where all ids are whole',
    [
      { of: 'store', number: 1, id: '1' },
      { of: 'dept', number: 2, id: '2' },
    ],
    [1, 2],
  ],
  [
    'text for all stores where one has text',
    [
      { of: 'store', number: 1, id: '1' },
      { of: 'store', number: 3, id: 'CA_1' },
    ],
    ['1', 2],
  ],
  [
    'text for all departments where one has text',
    [
      { of: 'dept', number: 1, id: 'FOODS_1' },
      { of: 'store', number: 1, id: '1' },
    ],
    [1, '2'],
  ],
  [
    'the text of each',
    [
      { of: 'store', number: 1, id: 'CA_1' },
      { of: 'dept', number: 2, id: 'FOODS_2' },
    ],
    ['CA_1', 'FOODS_2'],
  ],
])('a series has %s', async (_name, rows, [store, dept]) => {
  const { withIds } = await idsOf(rows);
  expect(withIds({ store: 1, dept: 2, horizon: 3 })).toEqual({ store, dept, horizon: 3 });
});
