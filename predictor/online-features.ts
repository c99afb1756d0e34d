/** Features of series at their newest origin, from Feast's online tables; refuses what is unknown, stale or absent. */
import type pg from 'pg';
import type { ModelFeature, ModelManifest } from '../contracts/model.ts';
import { RequestError } from './errors.ts';
import { ABSENT, databaseError, readBlock } from './feast-tables.ts';
import type { Entities, FeatureBlock } from './feast-tables.ts';

const MS_PER_DAY = 86_400_000;
const DAYS_PER_WEEK = 7;
/** A series whose newest week is this much older than the newest materialized week is stale. */
const MAX_AGE_DAYS = 28;

type View = ModelFeature['view'];

interface SeriesAhead {
  /** Index of the instance in the request, and its row in the matrix. */
  instance: number;
  store: number;
  dept: number;
  horizon: number;
}

export interface ForecastWeek {
  /** Newest week whose sales the features know, ISO date. */
  origin: string;
  /** origin + 7 days x horizon, ISO date. */
  targetWeek: string;
}

export interface OnlineFeatures {
  /**
   * Writes the features of each row into `matrix` (row-major [N, F]) and returns its weeks in the same order.
   * @throws RequestError 404 unknown series, 409 stale or missing features, 503 database away
   */
  read(rows: readonly SeriesAhead[], matrix: Float64Array): Promise<ForecastWeek[]>;
}

const isoWeek = (day: number): string => new Date(day * MS_PER_DAY).toISOString().slice(0, 10);

const named = ({ instance, store, dept }: SeriesAhead): string =>
  `Instance ${instance}: store ${store}, dept ${dept}`;
const facts = ({ instance, store, dept }: SeriesAhead): Record<string, unknown> => ({
  instance,
  store,
  dept,
});

/** Rows with distinct ids in order of appearance, and each row's number among them. */
function distinct(ids: readonly (string | number)[]): { firsts: number[]; numbers: Int32Array } {
  const seen = new Map<string | number, number>();
  const firsts: number[] = [];
  const numbers = Int32Array.from(ids, (id, row) => {
    const known = seen.get(id);
    if (known !== undefined) return known;
    seen.set(id, firsts.length);
    return firsts.push(row) - 1;
  });
  return { firsts, numbers };
}

/** Horizons whose columns are read: one or all, so that there are few statements to prepare. */
interface Asked {
  name: string;
  horizons: readonly number[];
}

/** What one view contributes to the matrix. */
interface ViewPlan {
  view: View;
  table: string;
  features: { column: string; position: number }[];
}

/** A view's values, and for each horizon the block's column of each of the plan's features. */
interface ViewRead {
  plan: ViewPlan;
  block: FeatureBlock;
  columns: ReadonlyMap<number, Int32Array>;
}

function plansOf(manifest: ModelManifest): Map<View, ViewPlan> {
  const plans = new Map<View, ViewPlan>();
  manifest.features.forEach(({ view, column }, position) => {
    const plan = plans.get(view) ?? { view, table: `${manifest.feastProject}_${view}`, features: [] };
    plan.features.push({ column, position });
    plans.set(view, plan);
  });
  return plans;
}

async function readView(pool: pg.Pool, plan: ViewPlan, entities: Entities, asked: Asked): Promise<ViewRead> {
  const names: string[] = [];
  const numberOf = new Map<string, number>();
  const columns = new Map<number, Int32Array>();
  for (const horizon of asked.horizons) {
    const numbers = plan.features.map(({ column }) => {
      const name = column.replaceAll('{horizon}', String(horizon));
      const number = numberOf.get(name) ?? names.push(name) - 1;
      numberOf.set(name, number);
      return number;
    });
    columns.set(horizon, Int32Array.from(numbers));
  }
  return {
    plan,
    columns,
    block: await readBlock(pool, plan.table, `${plan.view}:${asked.name}`, entities, names),
  };
}

/** Copies an entity's values into a row; an entity without a row is an error, an unknown value is NaN. */
function copyRow(
  { plan, block, columns }: ViewRead,
  entity: number,
  row: SeriesAhead,
  into: Float64Array,
): void {
  if (block.days[entity] === ABSENT) {
    throw new RequestError(
      409,
      'MISSING_FEATURES',
      `${named(row)}: the view ${plan.view} has no row of it, which the model needs; materialize the features again.`,
      { ...facts(row), view: plan.view },
    );
  }
  const numbers = columns.get(row.horizon) ?? new Int32Array();
  const start = entity * block.names.length;
  plan.features.forEach(({ position }, i) => {
    into[position] = block.values[start + (numbers[i] ?? 0)] ?? NaN;
  });
}

/** Day of a series' origin, which must not be too far behind the watermark. */
function originDay({ block }: ViewRead, entity: number, row: SeriesAhead, watermark: number): number {
  const day = block.days[entity] ?? ABSENT;
  if (watermark - day > MAX_AGE_DAYS) {
    throw new RequestError(
      409,
      'STALE_FEATURES',
      `${named(row)}: its features are of ${isoWeek(day)}, more than ${MAX_AGE_DAYS} days before ` +
        `${isoWeek(watermark)}, the newest materialized week; the series has no recent sales.`,
      { ...facts(row), eventDate: isoWeek(day), watermark: isoWeek(watermark) },
    );
  }
  return day;
}

async function readWatermark(pool: pg.Pool, feastProject: string): Promise<number> {
  const result = await pool
    .query<{ day: number }>({
      name: 'watermark',
      text: "select watermark - date '1970-01-01' as day from ops.feature_watermark where feast_project = $1",
      values: [feastProject],
    })
    .catch((cause: unknown) => {
      throw databaseError(cause, 'Reading ops.feature_watermark');
    });
  const day = result.rows[0]?.day;
  if (day === undefined) {
    throw new RequestError(
      503,
      'FEATURES_UNAVAILABLE',
      `No features were materialized for the Feast project ${feastProject}; run the pipeline.`,
    );
  }
  return day;
}

export function createOnlineFeatures(pool: pg.Pool, manifest: ModelManifest): OnlineFeatures {
  const plans = plansOf(manifest);
  const width = manifest.features.length;
  const salesPlan = plans.get('sales_history');
  if (salesPlan === undefined) throw new TypeError('the manifest names no feature of sales_history');
  const storePlans = (['store_externals', 'store_attributes'] as const).flatMap(
    (view) => plans.get(view) ?? [],
  );
  const calendarPlan = plans.get('calendar');

  const rowOf = (matrix: Float64Array, { instance }: SeriesAhead): Float64Array =>
    matrix.subarray(instance * width, (instance + 1) * width);

  const all: Asked = {
    name: 'all',
    horizons: Array.from({ length: manifest.horizonWeeks }, (_, i) => i + 1),
  };

  function askedBy(rows: readonly SeriesAhead[]): Asked {
    const [first] = rows;
    if (first === undefined || rows.some(({ horizon }) => horizon !== first.horizon)) return all;
    return { name: String(first.horizon), horizons: [first.horizon] };
  }

  /** Sales and store features; returns each row's weeks. */
  async function copySeries(
    rows: readonly SeriesAhead[],
    asked: Asked,
    matrix: Float64Array,
    sales: ViewPlan,
  ): Promise<ForecastWeek[]> {
    const at = (row: number): SeriesAhead => rows[row] as SeriesAhead;
    const series = distinct(rows.map(({ store, dept }) => `${store}/${dept}`));
    const seriesEntities: Entities = {
      names: ['store', 'dept'],
      type: 'bigint',
      values: [series.firsts.map((row) => at(row).store), series.firsts.map((row) => at(row).dept)],
    };
    const stores = distinct(rows.map(({ store }) => store));
    const storeEntities: Entities = {
      names: ['store'],
      type: 'bigint',
      values: [stores.firsts.map((row) => at(row).store)],
    };
    const [watermark, salesRead, ...storeReads] = await Promise.all([
      readWatermark(pool, manifest.feastProject),
      readView(pool, sales, seriesEntities, asked),
      ...storePlans.map((plan) => readView(pool, plan, storeEntities, asked)),
    ]);
    return rows.map((row, i): ForecastWeek => {
      const entity = series.numbers[i] ?? 0;
      if (salesRead.block.days[entity] === ABSENT) {
        const sentence = `${named(row)} is not a series of the data set "${manifest.dataset}".`;
        throw new RequestError(404, 'UNKNOWN_SERIES', sentence, facts(row));
      }
      copyRow(salesRead, entity, row, rowOf(matrix, row));
      const day = originDay(salesRead, entity, row, watermark);
      for (const read of storeReads) copyRow(read, stores.numbers[i] ?? 0, row, rowOf(matrix, row));
      return { origin: isoWeek(day), targetWeek: isoWeek(day + DAYS_PER_WEEK * row.horizon) };
    });
  }

  async function copyCalendar(
    rows: readonly SeriesAhead[],
    asked: Asked,
    matrix: Float64Array,
    plan: ViewPlan,
    weeks: readonly ForecastWeek[],
  ): Promise<void> {
    const targets = weeks.map(({ targetWeek }) => targetWeek);
    const { firsts, numbers } = distinct(targets);
    const read = await readView(
      pool,
      plan,
      { names: ['week'], type: 'text', values: [firsts.map((row) => targets[row] ?? '')] },
      asked,
    );
    rows.forEach((row, i) => {
      const entity = numbers[i] ?? 0;
      if (read.block.days[entity] === ABSENT) {
        const targetWeek = targets[i] ?? '';
        throw new RequestError(
          409,
          'MISSING_CALENDAR_WEEK',
          `${named(row)}: the calendar has no row for the target week ${targetWeek}; materialize the features again.`,
          { ...facts(row), targetWeek },
        );
      }
      copyRow(read, entity, row, rowOf(matrix, row));
    });
  }

  return {
    async read(rows, matrix) {
      const asked = askedBy(rows);
      const weeks = await copySeries(rows, asked, matrix, salesPlan);
      if (calendarPlan !== undefined) await copyCalendar(rows, asked, matrix, calendarPlan, weeks);
      return weeks;
    },
  };
}
