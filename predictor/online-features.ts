/**
 * Features of series at their newest origin, from Feast's online tables: a plan of the reads (feature-plan.ts), one query a view,
 * and the feature matrix. Unknown series, stale features and missing rows are refused.
 */
import type pg from 'pg';
import { MAX_AGE_DAYS } from '../contracts/predict.ts';
import type { ModelManifest } from '../contracts/model.ts';
import { shownId } from '../contracts/series-id.ts';
import { RequestError } from './errors.ts';
import { ABSENT, databaseError, readBlock } from './feast-tables.ts';
import type { FeatureBlock } from './feast-tables.ts';
import { planCalendar, planSeries, viewsOf } from './feature-plan.ts';
import type { FeatureRow, ViewRead } from './feature-plan.ts';
import type { Instance } from './instances.ts';
import { mergeSentences } from './merged-ids.ts';

const MS_PER_DAY = 86_400_000;
export const DAYS_PER_WEEK = 7;

export interface ForecastWeek {
  /** Newest week whose sales the features know, ISO date. */
  origin: string;
  /** origin + 7 days x horizon, ISO date. */
  targetWeek: string;
  /** Weeks from the origin to the target week. */
  horizon: number;
}

/** Instance with features from Feast's online tables, and its ids as the request wrote them. */
interface AskedRow extends FeatureRow {
  asked: Pick<Instance, 'store' | 'dept' | 'targetDay'> & {
    /** Index of the instance in the request that asks for a total of this series. */
    total?: number;
  };
}

export interface OnlineFeatures {
  /**
   * Writes the features of each row into `matrix` (row-major [N, F]) and returns its weeks in the same order.
   * @throws RequestError 404 unknown series, 400 or 422 target week that cannot be forecast, 409 stale or missing features, 503 unavailable database
   */
  read(rows: readonly AskedRow[], matrix: Float64Array): Promise<ForecastWeek[]>;
}

interface FetchedView extends ViewRead {
  block: FeatureBlock;
}

export const isoDate = (day: number): string => new Date(day * MS_PER_DAY).toISOString().slice(0, 10);

const named = ({ instance, asked: { store, dept, total } }: AskedRow): string =>
  `Instance ${total ?? instance}: store ${shownId(store)}, dept ${shownId(dept)}`;
const facts = ({ instance, asked: { store, dept, total } }: AskedRow): Record<string, unknown> => ({
  instance: total ?? instance,
  store,
  dept,
});

async function fetchView(pool: pg.Pool, read: ViewRead): Promise<FetchedView> {
  const { view, columns, entities } = read;
  return { ...read, block: await readBlock(pool, view.table, columns.statement, entities, columns.names) };
}

/** Returns the newest materialized week. @throws RequestError 503 */
export async function readWatermark(pool: pg.Pool, feastProject: string): Promise<number> {
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

/** Event day of the entity of row `i`, or `ABSENT`. */
const dayOf = ({ block, entityOf }: FetchedView, i: number): number =>
  block.days[entityOf[i] as number] as number;

/** Copies the values of row `i` into its row of the feature matrix, which starts at `start`. */
function copyRow(
  { view, columns, block, entityOf }: FetchedView,
  i: number,
  horizon: number,
  matrix: Float64Array,
  start: number,
): void {
  const from = (entityOf[i] as number) * block.names.length;
  const columnOf = columns.columnOf.get(horizon) as Int32Array;
  for (let f = 0; f < columnOf.length; f += 1) {
    matrix[start + (view.positions[f] as number)] = block.values[from + (columnOf[f] as number)] as number;
  }
}

/** Returns the series' newest week. @throws RequestError when that week is too old */
function originDay(sales: FetchedView, i: number, row: AskedRow, watermark: number): number {
  const day = dayOf(sales, i);
  if (watermark - day > MAX_AGE_DAYS) {
    throw new RequestError(
      409,
      'STALE_FEATURES',
      `${named(row)}: its newest features are of ${isoDate(day)}, more than ${MAX_AGE_DAYS} days before ` +
        `${isoDate(watermark)}, the newest materialized week; the series has no recent sales.`,
      { ...facts(row), eventDate: isoDate(day), watermark: isoDate(watermark) },
    );
  }
  return day;
}

/** Returns the weeks ahead of the origin. @throws RequestError when the model does not answer the target week */
function horizonOf(row: AskedRow, origin: number, maxHorizon: number): number {
  if (row.horizon !== undefined) return row.horizon;
  const target = row.asked.targetDay as number;
  const horizon = (target - origin) / DAYS_PER_WEEK;
  const where = `${named(row)}: targetWeek ${isoDate(target)} is`;
  if (!Number.isInteger(horizon)) {
    const next = isoDate(origin + DAYS_PER_WEEK);
    const sentence = `${where} not the last day of a week; the weeks of the data set end like ${next}.`;
    throw new RequestError(400, 'INVALID_INSTANCE', sentence, facts(row));
  }
  if (horizon >= 1 && horizon <= maxHorizon) return horizon;
  const distance = horizon < 1 ? `not after ${isoDate(origin)}` : `${horizon} weeks after ${isoDate(origin)}`;
  throw new RequestError(
    422,
    'HORIZON_OUT_OF_RANGE',
    `${where} ${distance}, the newest week whose sales are known; this model answers 1 to ${maxHorizon} weeks ahead.`,
    { ...facts(row), horizon, maxHorizon },
  );
}

function requireStore(store: FetchedView, i: number, row: AskedRow): void {
  if (dayOf(store, i) !== ABSENT) return;
  const { view } = store.view;
  throw new RequestError(
    409,
    'MISSING_FEATURES',
    `${named(row)}: the view ${view} has no row of the store, which the model needs; run the pipeline to materialize it.`,
    { ...facts(row), view },
  );
}

function requireTargetWeek(calendar: FetchedView, i: number, row: AskedRow, targetWeek: string): void {
  if (dayOf(calendar, i) !== ABSENT) return;
  throw new RequestError(
    409,
    'MISSING_CALENDAR_WEEK',
    `${named(row)}: the calendar has no row for the target week ${targetWeek}; run the pipeline to materialize it.`,
    { ...facts(row), targetWeek },
  );
}

export function createOnlineFeatures(pool: pg.Pool, manifest: ModelManifest): OnlineFeatures {
  const views = viewsOf(manifest);
  const width = manifest.features.length;

  /** @throws RequestError 404 */
  async function requireSeries(sales: FetchedView, rows: readonly AskedRow[]): Promise<void> {
    const unknown = rows.find((_, i) => dayOf(sales, i) === ABSENT);
    if (unknown === undefined) return;
    const merged = await mergeSentences(pool, manifest.dataset, unknown);
    const sentence = `${named(unknown)} is not a series of the data set "${manifest.dataset}".${merged}`;
    throw new RequestError(404, 'UNKNOWN_SERIES', sentence, facts(unknown));
  }

  async function readSeries(rows: readonly AskedRow[], matrix: Float64Array): Promise<ForecastWeek[]> {
    const plan = planSeries(views, rows);
    const [watermark, sales, ...stores] = await Promise.all([
      readWatermark(pool, manifest.feastProject),
      fetchView(pool, plan.sales),
      ...plan.stores.map((read) => fetchView(pool, read)),
    ]);
    await requireSeries(sales, rows);
    return rows.map((row, i) => {
      const start = row.instance * width;
      const day = originDay(sales, i, row, watermark);
      const horizon = horizonOf(row, day, manifest.horizonWeeks);
      copyRow(sales, i, horizon, matrix, start);
      for (const store of stores) {
        requireStore(store, i, row);
        copyRow(store, i, horizon, matrix, start);
      }
      return { origin: isoDate(day), targetWeek: isoDate(day + DAYS_PER_WEEK * horizon), horizon };
    });
  }

  return {
    async read(rows, matrix) {
      const weeks = await readSeries(rows, matrix);
      if (views.calendar === undefined) return weeks;
      const targetWeeks = weeks.map(({ targetWeek }) => targetWeek);
      const dated = rows.map((row, i) => ({ ...row, horizon: weeks[i]?.horizon }));
      const calendar = await fetchView(pool, planCalendar(views.calendar, dated, targetWeeks));
      rows.forEach((row, i) => {
        requireTargetWeek(calendar, i, row, targetWeeks[i] as string);
        copyRow(calendar, i, weeks[i]?.horizon as number, matrix, row.instance * width);
      });
      return weeks;
    },
  };
}
