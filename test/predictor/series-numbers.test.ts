/** Numbers of the ids of requests, from a table of ids in memory. */
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SeriesId } from '../../contracts/series-id.ts';
import { createSeriesNumberReader } from '../../predictor/series-numbers.ts';

const NONE = Number.MIN_SAFE_INTEGER;

type Row = { of: 'store' | 'dept'; id: string; number: number };
const store = (id: string, number: number): Row => ({ of: 'store', id, number });
const dept = (id: string, number: number): Row => ({ of: 'dept', id, number });

let rows: Row[];
/** Error that the database answers with. */
let failure: (Error & { code?: string }) | undefined;
let query: ReturnType<typeof vi.fn>;
let reader: ReturnType<typeof createSeriesNumberReader>;

beforeEach(() => {
  vi.useFakeTimers();
  rows = [
    store('CA_1', 1),
    store('007', 2),
    store('8', 7),
    store('05', 5),
    store('5', 6),
    dept('FOODS', 1),
    dept('4006381333931', 2),
  ];
  failure = undefined;
  query = vi.fn(() =>
    failure === undefined ? Promise.resolve({ rows: [...rows] }) : Promise.reject(failure),
  );
  reader = createSeriesNumberReader({ query } as unknown as pg.Pool, 'shop');
});
afterEach(() => {
  vi.useRealTimers();
});

const asked = (id: SeriesId, deptId: SeriesId = 'FOODS') => ({ store: id, dept: deptId, horizon: 1 });
const raw = (id: SeriesId, deptId: SeriesId = 'FOODS') => ({
  ...asked(id, deptId),
  features: new Float64Array(),
});
const storesOf = async (...ids: SeriesId[]) => (await reader.numbersOf(ids.map((id) => asked(id)))).stores;
const failing = (code: string) => Object.assign(new Error('the reason'), { code });

describe('an id', () => {
  it.each<[string, SeriesId, number]>([
    ['text', 'CA_1', 1],
    ['text with white space around it', ' CA_1\n', 1],
    ['text with leading zeros', '007', 2],
    ['the same without them', '7', 2],
    ['the same as a number', 7, 2],
    ['the same with fewer', '07', 2],
    ['a whole number with leading zeros', '08', 7],
    ['one of two that differ in leading zeros', '05', 5],
    ['the other', 5, 6],
    ['either of them', '0005', NONE],
    ['a whole number that is not its own number', 8, 7],
    ['the same as text', '8', 7],
    ['its internal number as text', '1', NONE],
    ['its internal number', 1, NONE],
    ['a number that no id has', 99, 99],
    ['the same as text', ' 99', 99],
    ['negative', -5, -5],
    ['another case', 'ca_1', NONE],
    ['too large for JSON', '18446744073709551615', NONE],
    ['a key of all objects', '__proto__', NONE],
    ['a method of all objects', 'toString', NONE],
    ['a constructor', 'constructor', NONE],
  ])('that is %s', async (_name, id, number) => {
    expect(await storesOf(id)).toEqual([number]);
  });

  it('is of a store or of a department', async () => {
    expect(
      await reader.numbersOf([asked('CA_1', 'CA_1'), asked('FOODS'), asked('CA_1', 4_006_381_333_931)]),
    ).toEqual({
      stores: [1, NONE, 1],
      depts: [NONE, 1, 2],
    });
  });

  it('may be a key of all objects in the data', async () => {
    rows = ['__proto__', 'constructor', 'toString'].map((id, i) => store(id, i + 1));
    expect(await storesOf('toString', '__proto__', 'constructor')).toEqual([3, 1, 2]);
  });

  it('has the same number by its former name', async () => {
    rows.push(store('TOYS', 15), store('GAMES', 15));
    expect(await storesOf('GAMES', 'TOYS', 'GAMES', 15)).toEqual([15, 15, 15, NONE]);
  });

  it('is its own number in a data set without ids, and in a database older than ids', async () => {
    rows = [];
    expect(await storesOf(1, '12', -5, '007', 'CA_1')).toEqual([1, 12, -5, NONE, NONE]);
    failure = failing('42P01');
    vi.advanceTimersByTime(2_000);
    expect(await storesOf(1, '12', 'CA_1')).toEqual([1, 12, NONE]);
  });
});

describe('the table', () => {
  it('is read once for known ids', async () => {
    await reader.load();
    vi.advanceTimersByTime(3_600_000);
    await storesOf('CA_1', '007', 8, 'CA_1 ');
    await storesOf('CA_1');
    expect(query).toHaveBeenCalledOnce();
  });

  it('is read once for all who ask at the same time', async () => {
    await Promise.all([storesOf('CA_1'), storesOf('TX_1'), storesOf('TX_2'), reader.load()]);
    expect(query).toHaveBeenCalledOnce();
  });

  it('is read again for an id that is new, at most every two seconds', async () => {
    await reader.load();
    rows.push(store('TX_1', 9));
    expect(await storesOf('TX_1')).toEqual([NONE]);
    vi.advanceTimersByTime(1_999);
    expect(await storesOf('TX_1')).toEqual([NONE]);
    expect(query).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(1);
    expect(await Promise.all([storesOf('TX_1'), storesOf('TX_1', 'nowhere')])).toEqual([[9], [9, NONE]]);
    for (let i = 0; i < 10; i += 1) await storesOf('nowhere');
    expect(query).toHaveBeenCalledTimes(2);
  });

  it('that changes during a request is the old or the new one for all of its ids', async () => {
    await reader.load();
    vi.advanceTimersByTime(2_000);
    rows = [store('CA_1', 11), store('TX_1', 12), dept('FOODS', 1)];
    const [before, after] = await Promise.all([storesOf('CA_1', '007'), storesOf('CA_1', 'TX_1', 'CA_1')]);
    expect(before).toEqual([1, 2]);
    expect(after).toEqual([11, 12, 11]);
  });
});

describe('without the database', () => {
  beforeEach(() => {
    failure = failing('ECONNREFUSED');
  });

  it('known ids have their numbers, and others are not called unknown', async () => {
    failure = undefined;
    await reader.load();
    failure = failing('ECONNREFUSED');
    vi.advanceTimersByTime(2_000);
    expect(await storesOf('CA_1', 8)).toEqual([1, 7]);
    await expect(storesOf('CA_1', 'TX_1')).rejects.toMatchObject({
      status: 503,
      code: 'FEATURES_UNAVAILABLE',
      message: 'Reading raw.id failed: the reason. Try again when the database answers.',
    });
    failure = undefined;
    rows.push(store('TX_1', 9));
    expect(await storesOf('TX_1')).toEqual([9]);
  });

  it('instances with features need none, but for text before the first read', async () => {
    expect(await reader.numbersOf([raw(1, 3), raw('2', 3)])).toEqual({ stores: [1, 2], depts: [3, 3] });
    await expect(reader.numbersOf([raw(1, 3), raw('CA_1', 3)])).rejects.toMatchObject({ status: 503 });
    failure = undefined;
    await reader.numbersOf([raw(1, 3)]);
    // The read that follows is not waited for.
    await vi.advanceTimersByTimeAsync(2_000);
    query.mockClear();
    failure = failing('ECONNREFUSED');
    expect(await reader.numbersOf([raw('CA_1'), raw(8)])).toEqual({ stores: [1, 7], depts: [1, 1] });
    expect(query).not.toHaveBeenCalled();
    expect(await reader.numbersOf([raw('TX_1'), raw(99), raw(1)])).toEqual({
      stores: [NONE, 99, NONE],
      depts: [1, 1, 1],
    });
    failure = undefined;
    rows.push(store('TX_1', 19));
    expect(await reader.numbersOf([raw('TX_1'), raw('CA_1')])).toEqual({ stores: [19, 1], depts: [1, 1] });
  });

  it('that the role may not read, the refusal says what to grant', async () => {
    failure = failing('42501');
    await expect(storesOf(1)).rejects.toMatchObject({
      status: 503,
      message: expect.stringMatching(/grant its role "usage on schema raw" and "select on raw.id"/) as string,
    });
  });
});
