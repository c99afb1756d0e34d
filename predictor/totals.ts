/**
 * Forecasts of totals: the series of a member, their forecasts by this one version of the model, and the sums.
 *
 * The sum is taken here, because a total of two versions' forecasts would be of neither while a canary runs.
 */
import pg from 'pg';
import { AGE_FEATURE } from '../contracts/model.ts';
import type { LevelScales, ModelManifest } from '../contracts/model.ts';
import { MAX_AGE_DAYS, MAX_INSTANCES, TOTAL_LEVEL } from '../contracts/predict.ts';
import type { TotalPrediction } from '../contracts/predict.ts';
import { normalId, shownId } from '../contracts/series-id.ts';
import { RequestError } from './errors.ts';
import { databaseError, runUntil } from './feast-tables.ts';
import type { AskedTotal } from './instances.ts';
import { DAYS_PER_WEEK, isoDate, readWatermark } from './online-features.ts';
import { mergeSentences } from './merged-ids.ts';
import type { SeriesNumberReader } from './series-numbers.ts';

/** Largest number of series in the totals of one request. */
const MAX_SERIES = 100_000;

/** Series of a total, with weeks in days since 1970-01-01. */
export interface MemberSeries {
  store: number;
  dept: number;
  /** Newest week whose sales are known of the series. */
  day: number;
  /** Newest week whose sales are known of any series of its store. */
  storeDay: number;
}

/** Row of the graph for a series of a total. */
export interface TotalRow extends MemberSeries {
  /** Weeks ahead of a series that stays behind; undefined where the target week decides. */
  horizon: number | undefined;
}

/** Member of a level, or all series. */
type Member = Pick<AskedTotal, 'level' | 'member'>;

export interface TotalReader {
  /** Returns the series of a total that have not ended. @throws RequestError 404, 409 or 503, or the reason of the signal */
  seriesOf(total: Member, instance: number, signal: AbortSignal): Promise<MemberSeries[]>;
}

const named = ({ level, member }: Member): string =>
  member === undefined ? `the level "${level}"` : `${shownId(member)} of the level "${level}"`;

/**
 * Query for the series of a total that have sales of their own; its parameters are a number, or data set, level and member of a
 * declared level.
 */
function seriesQuery(table: string, { level }: Member): string {
  const series = `
    select store, dept, day, max(day) over (partition by store) as store_day
    from (select store, dept, floor(extract(epoch from event_ts) / 86400)::int as day
          from feast_online.${pg.escapeIdentifier(table)}
          where ${pg.escapeIdentifier(AGE_FEATURE)} is not null) as online`;
  if (level === TOTAL_LEVEL) return series;
  if (level === 'store' || level === 'dept') return `select * from (${series}) as s where ${level} = $1`;
  return `
    select s.* from (${series}) as s
    join (select distinct on ("of", number) "of", number, member from raw.level_member
          where dataset = $1 and level = $2 order by "of", number, batch_id desc) as m
      on m.number = case m."of" when 'store' then s.store else s.dept end
    where m.member = $3`;
}

export function createTotalReader(
  pool: pg.Pool,
  manifest: ModelManifest,
  numbers: SeriesNumberReader,
): TotalReader {
  const table = `${manifest.feastProject}_sales_history`;

  /** Returns the parameters of `seriesQuery`. */
  async function valuesOf({ level, member }: Member): Promise<(string | number)[]> {
    if (member === undefined) return [];
    if (level === 'store' || level === 'dept') return [await numbers.numberOf(level, member)];
    return [manifest.dataset, level, normalId(String(member)) ?? ''];
  }

  async function read(total: Member, signal: AbortSignal): Promise<MemberSeries[]> {
    const values = await valuesOf(total);
    const query = `${seriesQuery(table, total)} order by store, dept`;
    const rows = await runUntil<{ store: string; dept: string; day: number; store_day: number }>(
      pool,
      signal,
      query,
      values,
    ).catch((cause: unknown) => {
      throw databaseError(cause, `Reading the series of ${named(total)}`);
    });
    return rows.map(({ store, dept, day, store_day: storeDay }) => ({
      store: Number(store),
      dept: Number(dept),
      day,
      storeDay,
    }));
  }

  async function mergedInto({ level, member }: Member): Promise<string> {
    if (member === undefined || (level !== 'store' && level !== 'dept')) return '';
    return mergeSentences(pool, manifest.dataset, { [level]: await numbers.numberOf(level, member) });
  }

  return {
    async seriesOf(total, instance, signal) {
      scalesOf(manifest, total, instance);
      const [series, watermark] = await Promise.all([
        read(total, signal),
        readWatermark(pool, manifest.feastProject),
      ]);
      const facts = { instance, level: total.level, member: total.member };
      if (series.length === 0) {
        const merged = await mergedInto(total);
        const sentence = `Instance ${instance}: no series of the data set "${manifest.dataset}" is in ${named(total)}.${merged}`;
        throw new RequestError(404, 'UNKNOWN_MEMBER', sentence, facts);
      }
      const current = series.filter(({ day }) => watermark - day <= MAX_AGE_DAYS);
      if (current.length > 0) return current;
      throw new RequestError(
        409,
        'STALE_FEATURES',
        `Instance ${instance}: all series of ${named(total)} have ended; their newest weeks are more than ` +
          `${MAX_AGE_DAYS} days before ${isoDate(watermark)}, the newest materialized week.`,
        facts,
      );
    },
  };
}

/** @throws RequestError 404 when the model does not know the level */
function scalesOf({ levels = {} }: ModelManifest, { level }: Member, instance: number): LevelScales {
  const scales = Object.hasOwn(levels, level) ? levels[level] : undefined;
  if (scales !== undefined) return scales;
  const known = Object.keys(levels);
  throw new RequestError(
    404,
    'UNKNOWN_LEVEL',
    known.length === 0
      ? `Instance ${instance}: this model was trained without levels; run the pipeline to train one that answers totals.`
      : `Instance ${instance}: "${level}" is not a level of this model, which knows ${known.join(', ')}; ` +
          'a level that was declared later needs a new training.',
    { instance, level, known },
  );
}

/**
 * Returns the rows of a total, and its newest and its target week in days.
 *
 * A series that skipped the newest weeks of its store may be too far from the target week; its farthest forecast stands for it.
 * Nothing is known of a store that has not reported, so that the target week of its rows stays out of reach and is refused.
 */
export function rowsOf(
  total: Pick<AskedTotal, 'horizon' | 'targetDay'>,
  series: readonly MemberSeries[],
  maxHorizon: number,
): { rows: TotalRow[]; newest: number; targetDay: number; behind: number } {
  const newest = series.reduce((most, { day }) => Math.max(most, day), -Infinity);
  const targetDay = total.targetDay ?? newest + DAYS_PER_WEEK * (total.horizon as number);
  let behind = 0;
  const rows = series.map((one): TotalRow => {
    const weeksTo = (day: number): number => (targetDay - day) / DAYS_PER_WEEK;
    if (weeksTo(one.day) <= maxHorizon || weeksTo(one.storeDay) > maxHorizon)
      return { ...one, horizon: undefined };
    behind += 1;
    return { ...one, horizon: maxHorizon };
  });
  return { rows, newest, targetDay, behind };
}

/** Sums of the quantiles p10, p50 and p90. */
export type Sums = [low: number, median: number, high: number];

/** Splits rows into chunks that fit into memory. @throws RequestError 413 */
export function chunksOf(rows: readonly TotalRow[], already: number): TotalRow[][] {
  if (already + rows.length > MAX_SERIES) {
    throw new RequestError(
      413,
      'TOO_MANY_INSTANCES',
      `The totals of the request have more than ${MAX_SERIES} series together; ask for fewer totals in a request.`,
      { limit: MAX_SERIES },
    );
  }
  const count = Math.ceil(rows.length / MAX_INSTANCES);
  return Array.from({ length: count }, (_, i) => rows.slice(i * MAX_INSTANCES, (i + 1) * MAX_INSTANCES));
}

/**
 * Returns the prediction of a total from the sums of its series. The formula of the interval is that of
 * ml/shelfcast/level_sums.py: a share of the summed distances, and below 0 only where the sum of p10 is.
 */
export function toTotal(
  manifest: ModelManifest,
  total: Member,
  instance: number,
  { rows, newest, targetDay, behind }: ReturnType<typeof rowsOf>,
  [low, median, high]: Sums,
): TotalPrediction {
  const horizon = (targetDay - newest) / DAYS_PER_WEEK;
  const scale = scalesOf(manifest, total, instance).coverage80[horizon - 1] as number;
  return {
    level: total.level,
    ...(total.member === undefined ? {} : { member: total.member }),
    horizon,
    origin: isoDate(newest),
    targetWeek: isoDate(targetDay),
    forecast: median,
    p10: Math.max(median - scale * (median - low), Math.min(low, 0)),
    p50: median,
    p90: median + scale * (high - median),
    series: rows.length,
    ...(behind === 0 ? {} : { behind }),
  };
}
