/**
 * Features of series at their newest origin, from Feast's online tables: a plan of the reads (feature-plan.ts), one query a view,
 * and the feature matrix. Unknown series, stale features and missing rows are refused.
 */
import type pg from 'pg';
import { MAX_AGE_DAYS, MAX_FAULTS } from '../contracts/predict.ts';
import type { ModelManifest } from '../contracts/model.ts';
import { shownId } from '../contracts/series-id.ts';
import { faultOf, RequestError } from './errors.ts';
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

/** Instance with features from Feast's online tables, or series of a total, and its ids as the request wrote them. */
interface AskedRow extends FeatureRow {
  asked: Pick<Instance, 'index' | 'store' | 'dept' | 'targetDay'>;
}

export interface OnlineFeatures {
  /**
   * Writes the features of each row into `matrix` (row-major [N, F]) and returns its weeks in the same order, or its error:
   * 404 unknown series, 400 or 422 target week that cannot be forecast, 409 stale or missing features.
   * @throws RequestError 503 unavailable database
   */
  read(rows: readonly AskedRow[], matrix: Float64Array): Promise<(ForecastWeek | RequestError)[]>;
}

interface FetchedView extends ViewRead {
  block: FeatureBlock;
}

export const isoDate = (day: number): string => new Date(day * MS_PER_DAY).toISOString().slice(0, 10);

const named = ({ asked: { index, store, dept } }: AskedRow): string =>
  `Instance ${index}: store ${shownId(store)}, dept ${shownId(dept)}`;
const facts = ({ asked: { index, store, dept } }: AskedRow): Record<string, unknown> => ({
  instance: index,
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

function requireSeries(
  dataset: string,
  sales: FetchedView,
  i: number,
  row: AskedRow,
  merges: ReadonlyMap<AskedRow, string>,
): void {
  if (dayOf(sales, i) !== ABSENT) return;
  const sentence = `${named(row)} is not a series of the data set "${dataset}".${merges.get(row) ?? ''}`;
  throw new RequestError(404, 'UNKNOWN_SERIES', sentence, facts(row));
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

/** Refuses a row of sales_history without any value, as columns have before they are materialized. */
function requireHistory(positions: Int32Array, matrix: Float64Array, start: number, row: AskedRow): void {
  if (positions.some((position) => !Number.isNaN(matrix[start + position]))) return;
  throw new RequestError(
    409,
    'MISSING_FEATURES',
    `${named(row)}: the view sales_history has no value in any column that the model needs; run the pipeline to materialize them.`,
    { ...facts(row), view: 'sales_history' },
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

/** Returns the result, or the error of the instance. @throws any other error */
function orFault<T>(attempt: () => T): T | RequestError {
  try {
    return attempt();
  } catch (error) {
    return faultOf(error);
  }
}

export function createOnlineFeatures(pool: pg.Pool, manifest: ModelManifest): OnlineFeatures {
  const views = viewsOf(manifest);
  const width = manifest.features.length;

  /** Sentences about merged ids, of the first series that the data set does not have. */
  async function mergesOf(sales: FetchedView, rows: readonly AskedRow[]): Promise<Map<AskedRow, string>> {
    const unknown = rows.filter((_, i) => dayOf(sales, i) === ABSENT).slice(0, MAX_FAULTS);
    const sentences = unknown.map((row) => mergeSentences(pool, manifest.dataset, row));
    return new Map((await Promise.all(sentences)).map((sentence, i) => [unknown[i] as AskedRow, sentence]));
  }

  async function readSeries(
    rows: readonly AskedRow[],
    matrix: Float64Array,
  ): Promise<(ForecastWeek | RequestError)[]> {
    const plan = planSeries(views, rows);
    const [watermark, sales, ...stores] = await Promise.all([
      readWatermark(pool, manifest.feastProject),
      fetchView(pool, plan.sales),
      ...plan.stores.map((read) => fetchView(pool, read)),
    ]);
    const merges = await mergesOf(sales, rows);
    return rows.map((row, i) =>
      orFault(() => {
        const start = row.instance * width;
        requireSeries(manifest.dataset, sales, i, row, merges);
        const day = originDay(sales, i, row, watermark);
        const horizon = horizonOf(row, day, manifest.horizonWeeks);
        copyRow(sales, i, horizon, matrix, start);
        requireHistory(views.sales.positions, matrix, start, row);
        for (const store of stores) {
          requireStore(store, i, row);
          copyRow(store, i, horizon, matrix, start);
        }
        return { origin: isoDate(day), targetWeek: isoDate(day + DAYS_PER_WEEK * horizon), horizon };
      }),
    );
  }

  return {
    async read(rows, matrix) {
      const weeks = await readSeries(rows, matrix);
      if (views.calendar === undefined) return weeks;
      const dated = rows.flatMap((row, i) => {
        const week = weeks[i] as ForecastWeek | RequestError;
        return week instanceof RequestError ? [] : [{ row: { ...row, horizon: week.horizon }, week, i }];
      });
      if (dated.length === 0) return weeks;
      const targetWeeks = dated.map(({ week }) => week.targetWeek);
      const plan = planCalendar(
        views.calendar,
        dated.map(({ row }) => row),
        targetWeeks,
      );
      const calendar = await fetchView(pool, plan);
      dated.forEach(({ row, week, i }, at) => {
        weeks[i] = orFault(() => {
          requireTargetWeek(calendar, at, row, week.targetWeek);
          copyRow(calendar, at, row.horizon, matrix, row.instance * width);
          return week;
        });
      });
      return weeks;
    },
  };
}
