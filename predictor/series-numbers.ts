/** Numbers that stand for the user's ids of stores and departments: raw.id of the model's data set, kept in memory. */
import type pg from 'pg';
import { normalId, wholeNumberOf } from '../contracts/series-id.ts';
import type { SeriesId } from '../contracts/series-id.ts';
import { RequestError } from './errors.ts';
import { databaseError } from './feast-tables.ts';
import type { Instance } from './instances.ts';

/** Part of an instance that its numbers depend on. */
type AskedSeries = Pick<Instance, 'store' | 'dept' | 'features'>;

/** Number that no store or department has. */
const NO_NUMBER = Number.MIN_SAFE_INTEGER;
/** Shortest time from a read of raw.id to the next, however many unknown ids are asked for. */
const REREAD_MS = 2_000;
/** SQLSTATEs of a table and a schema that do not exist. */
const MISSING = ['42P01', '3F000'];
const FORBIDDEN = '42501';

/** Numbers of the instances' stores and departments, in their order; `NO_NUMBER` for those that do not exist. */
export interface SeriesNumbers {
  stores: number[];
  depts: number[];
}

export interface SeriesNumberReader {
  /**
   * Numbers of ids that are known from an earlier read need no database. Instances with features are answered without it.
   * @throws RequestError 503 when an id is unknown so far, and raw.id cannot be read
   */
  numbersOf(instances: readonly AskedSeries[]): Promise<SeriesNumbers>;
  /** Returns the number of one id, like `numbersOf`. @throws RequestError 503 */
  numberOf(of: 'store' | 'dept', id: SeriesId): Promise<number>;
  /** Returns the current id of a number, for messages; the number itself before the first read. */
  idOf(of: 'store' | 'dept', number: number): SeriesId;
  /** Reads raw.id. @throws RequestError 503 */
  load(): Promise<void>;
}

const DIGITS = /^\d+$/;
const withoutZeros = (digits: string): string => digits.replace(/^0+(?=.)/, '');

/** Ids of one kind. */
class Ids {
  /** Former ids included. An id that is a whole number is a key as text and as number. */
  readonly #numbers = new Map<SeriesId, number>();
  /** Numbers of ids of digits, by their digits without leading zeros. */
  readonly #byDigits = new Map<string, Set<number>>();
  readonly #named = new Set<number>();
  readonly #current = new Map<number, string>();

  add(id: string, number: number, isCurrent: boolean): void {
    if (isCurrent) this.#current.set(number, id);
    this.#numbers.set(id, number);
    this.#numbers.set(wholeNumberOf(id) ?? id, number);
    this.#named.add(number);
    if (!DIGITS.test(id)) return;
    const digits = withoutZeros(id);
    this.#byDigits.set(digits, (this.#byDigits.get(digits) ?? new Set()).add(number));
  }

  idOf(number: number): SeriesId {
    const id = this.#current.get(number);
    return id === undefined || id === String(number) ? number : id;
  }

  /** Returns undefined for an id that has no row. */
  numberOf(id: SeriesId): number | undefined {
    return (
      this.#numbers.get(id) ??
      this.#numberOfSpelling(typeof id === 'number' ? String(id) : (normalId(id) ?? id))
    );
  }

  /** Like ingest, takes 01 for 1, and 1 for 01, where only the other one is an id (ml/shelfcast/ingest/source_ids.py). */
  #numberOfSpelling(id: string): number | undefined {
    const number = this.#numbers.get(id);
    if (number !== undefined || !DIGITS.test(id)) return number;
    const [same, ...others] = this.#byDigits.get(withoutZeros(id)) ?? [];
    return others.length === 0 ? same : undefined;
  }

  /** Returns the number of an id without a row: the id itself if it is a number that has no id. */
  plainNumberOf(id: SeriesId): number {
    const number = wholeNumberOf(typeof id === 'string' ? (normalId(id) ?? id) : id);
    return number === undefined || this.#named.has(number) ? NO_NUMBER : number;
  }
}

type IdsByKind = Readonly<Record<'store' | 'dept', Ids>>;

const noIds = (): IdsByKind => ({ store: new Ids(), dept: new Ids() });

export function createSeriesNumberReader(pool: pg.Pool, dataset: string): SeriesNumberReader {
  /** Ids of the newest read; undefined before the first. */
  let known: IdsByKind | undefined;
  let reading: Promise<IdsByKind> | undefined;

  /** All callers share one read, and its result for a while. A failed read is tried again by the next caller. */
  function read(): Promise<IdsByKind> {
    reading ??= readIds(pool, dataset).then(
      (ids) => {
        known = ids;
        setTimeout(() => {
          reading = undefined;
        }, REREAD_MS).unref();
        return ids;
      },
      (error: unknown) => {
        reading = undefined;
        throw error;
      },
    );
    return reading;
  }

  return {
    async numbersOf(instances) {
      // One value for the whole request, although another request may read raw.id meanwhile.
      const ids = known ?? noIds();
      const { numbers, unknown } = translate(ids, instances);
      if (unknown.length === 0) return numbers;
      const mustRead = unknown.some((i) => {
        const hasNumbers = numbers.stores[i] !== NO_NUMBER && numbers.depts[i] !== NO_NUMBER;
        return instances[i]?.features === undefined || (known === undefined && !hasNumbers);
      });
      if (mustRead) return translate(await read(), instances).numbers;
      // All of these instances have features, and are answered without the database, too: with whole numbers as their
      // own ids before the first read, and later with ids that are new to the model.
      if (known === undefined) {
        read().catch(() => undefined);
        return numbers;
      }
      return translate(await read().catch(() => ids), instances).numbers;
    },
    async numberOf(of, id) {
      const number = known?.[of].numberOf(id);
      if (number !== undefined) return number;
      const ids = (await read())[of];
      return ids.numberOf(id) ?? ids.plainNumberOf(id);
    },
    idOf: (of, number) => known?.[of].idOf(number) ?? number,
    async load() {
      await read();
    },
  };
}

/** Returns the numbers, and the indices of instances with an id that has no row. */
function translate(
  { store, dept }: IdsByKind,
  instances: readonly AskedSeries[],
): { numbers: SeriesNumbers; unknown: number[] } {
  const unknown: number[] = [];
  const stores = new Array<number>(instances.length);
  const depts = new Array<number>(instances.length);
  instances.forEach((instance, i) => {
    const storeNumber = store.numberOf(instance.store);
    const deptNumber = dept.numberOf(instance.dept);
    if (storeNumber === undefined || deptNumber === undefined) unknown.push(i);
    stores[i] = storeNumber ?? store.plainNumberOf(instance.store);
    depts[i] = deptNumber ?? dept.plainNumberOf(instance.dept);
  });
  return { numbers: { stores, depts }, unknown };
}

/** Reads the newest number of each id, also of former ones. A database without raw.id is older than text ids. */
async function readIds(pool: pg.Pool, dataset: string): Promise<IdsByKind> {
  const ids = noIds();
  try {
    const { rows } = await pool.query<{ of: 'store' | 'dept'; id: string; number: number; current: boolean }>(
      `select distinct on ("of", id) "of", id, number, is_current as current from raw.id
       where dataset = $1 and "of" in ('store', 'dept') order by "of", id, batch_id desc`,
      [dataset],
    );
    for (const { of, id, number, current } of rows) ids[of].add(id, number, current);
  } catch (cause) {
    const { code } = cause as { code?: string };
    if (code === FORBIDDEN) throw forbidden(cause);
    if (code === undefined || !MISSING.includes(code)) throw databaseError(cause, 'Reading raw.id');
  }
  return ids;
}

function forbidden(cause: unknown): RequestError {
  return new RequestError(
    503,
    'FEATURES_UNAVAILABLE',
    `Reading raw.id failed: ${(cause as Error).message}. The predictor needs it to find stores and departments by ` +
      'their ids; grant its role "usage on schema raw" and "select on raw.id".',
    {},
    { cause },
  );
}
