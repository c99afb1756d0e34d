import { Context } from '@temporalio/activity';
import type { Pool } from 'pg';
import type { Snapshot } from '../contracts/jobs.ts';
import type { MonitorResult, SampleForecast } from '../contracts/pipeline.ts';
import type { RegisteredVersion } from '../contracts/rollout.ts';
import type { Prediction } from '../contracts/predict.ts';
import { MAX_AGE_DAYS, MAX_INSTANCES } from '../contracts/predict.ts';
import type { Dependencies } from './dependencies.ts';
import { askForecasts, forecastsOf } from './endpoint.ts';
import { readManifest } from './job-outputs.ts';
import { hiddenWeeks, knownSales, SERIES, WITH_MERGES } from './known-sales.ts';
import type { NumberedSeries } from './series-ids.ts';
import { readSeriesIds } from './series-ids.ts';

/** Forecasts of a request. */
const FORECAST_BATCH = MAX_INSTANCES / 2;
const SAMPLES = 5;

interface MonitorRequest {
  champion: RegisteredVersion;
  snapshot: Snapshot;
  horizonWeeks: number;
}

type MonitorDependencies = Pick<Dependencies, 'database' | 'serving'>;

export interface MonitorActivities {
  /** Asks the deployed champion for the weeks after the snapshot and records its forecasts. */
  recordForecasts: (request: MonitorRequest) => Promise<Omit<MonitorResult, 'actualsCompared' | 'wape'>>;
  /** Compares earlier forecasts with the sales of the snapshot. */
  compareWithActuals: (request: MonitorRequest) => Promise<Pick<MonitorResult, 'actualsCompared' | 'wape'>>;
}

export function createMonitorActivities(deps: MonitorDependencies): MonitorActivities {
  return {
    recordForecasts: (request) => recordForecasts(deps, request),
    compareWithActuals: (request) => compareWithActuals(deps.database, request),
  };
}

async function recordForecasts(
  { database, serving }: MonitorDependencies,
  { champion, snapshot, horizonWeeks }: MonitorRequest,
): Promise<Omit<MonitorResult, 'actualsCompared' | 'wape'>> {
  const context = Context.current();
  const series = await activeSeries(database, snapshot);
  const manifest = await readManifest(champion.modelUri);
  const horizons = Array.from({ length: Math.min(horizonWeeks, manifest.horizonWeeks) }, (_, i) => i + 1);
  const asked = series.flatMap((key) => horizons.map((horizon) => ({ ...key, horizon })));
  const { withIds } = await readSeriesIds(database, snapshot.dataset);
  const endpoint = { url: serving.url, modelName: champion.modelName };
  const nextWeek: Prediction[] = [];
  for (let from = 0; from < asked.length; from += FORECAST_BATCH) {
    const part = asked.slice(from, from + FORECAST_BATCH);
    const answer = await askForecasts(
      endpoint,
      part.map(withIds),
      context.cancellationSignal,
      champion.version,
    );
    const predictions = forecastsOf(answer, champion.version, `${part.length} forecasts`);
    await insertForecasts(database, champion, part, predictions);
    nextWeek.push(...predictions.filter(({ horizon }) => horizon === 1));
    context.heartbeat(`${from + part.length} of ${asked.length} forecasts`);
  }
  return {
    modelVersion: champion.version,
    forecastsRecorded: asked.length,
    seriesForecast: series.length,
    seriesLeftOut: snapshot.seriesCount - series.length,
    samples: sample(nextWeek),
  };
}

/**
 * Series that the endpoint forecasts: a store that reports late is forecast from its own newest week.
 *
 * A series begins, with a row of features, in its first week that is not hidden.
 */
async function activeSeries(database: Pool, snapshot: Snapshot): Promise<NumberedSeries[]> {
  const first = `$2::date - ${MAX_AGE_DAYS}`;
  const { rows } = await database.query<NumberedSeries>(
    `with ${knownSales('$1', '$3', first)}, ${hiddenWeeks('$1', '$3', "'-infinity'::date")}, begun as (
       select store, dept from (
         select store, dept, week from known_sales where week <= $2
         union all
         select ${SERIES}, week from raw.sales s ${WITH_MERGES}
         where dataset = $1 and batch_id <= $3 and week < ${first}
       ) s where not exists (
         select from hidden_weeks h where h.store = s.store and h.dept in (0, s.dept) and h.week = s.week
       )
     )
     select distinct store, dept from known_sales
     where week <= $2 and (store, dept) in (select store, dept from begun) order by store, dept`,
    [snapshot.dataset, snapshot.lastWeek, snapshot.batchId],
  );
  return rows;
}

async function insertForecasts(
  database: Pool,
  { modelName, version, dataset }: RegisteredVersion,
  asked: readonly NumberedSeries[],
  predictions: Prediction[],
): Promise<void> {
  const numbers = (key: keyof NumberedSeries) => asked.map((series) => series[key]);
  const column = <K extends keyof Prediction>(key: K) => predictions.map((prediction) => prediction[key]);
  await database.query(
    `insert into ops.forecast
       (model_name, model_version, dataset, origin, store, dept, horizon, target_week, p10, p50, p90)
     select $1, $2, $3, * from unnest(
       $4::date[], $5::int[], $6::int[], $7::int[], $8::date[], $9::float8[], $10::float8[], $11::float8[])
     on conflict do nothing`,
    [
      modelName,
      version,
      dataset,
      ...[column('origin'), numbers('store'), numbers('dept'), column('horizon'), column('targetWeek')],
      ...[column('p10'), column('p50'), column('p90')],
    ],
  );
}

/** Fractional part of the golden ratio. Its multiples spread evenly over the sorted series, so samples cover all stores and departments. */
const SAMPLE_STEP = (Math.sqrt(5) - 1) / 2;

function sample(nextWeek: Prediction[]): SampleForecast[] {
  const n = nextWeek.length;
  return Array.from({ length: Math.min(SAMPLES, n) }, (_, i) => nextWeek[Math.floor(i * n * SAMPLE_STEP) % n])
    .filter((prediction) => prediction !== undefined)
    .map(({ store, dept, targetWeek, p10, p50, p90 }) => ({
      store,
      dept,
      targetWeek: targetWeek ?? '',
      p10,
      p50,
      p90,
    }));
}

const FIRST_FORECAST = '(select min(target_week) from ops.forecast where model_name = $1 and dataset = $2)';

async function compareWithActuals(
  database: Pool,
  { champion, snapshot }: MonitorRequest,
): Promise<Pick<MonitorResult, 'actualsCompared' | 'wape'>> {
  // `inserted` skips the rows of an earlier attempt; `known` has only those rows.
  const { rows } = await database.query<{ n: number; wape: number | null }>(
    `with ${knownSales('$2', '$3', FIRST_FORECAST)}, ${hiddenWeeks('$2', '$3', FIRST_FORECAST)}, inserted as (
       insert into ops.forecast_accuracy
         (model_name, model_version, dataset, origin, store, dept, horizon, target_week, p50, actual, inside_80,
          snapshot_id)
       select f.model_name, f.model_version, f.dataset, f.origin, f.store, f.dept, f.horizon, f.target_week, f.p50,
         a.weekly_sales, a.weekly_sales between f.p10 and f.p90, $4
       from ops.forecast f
       join known_sales a on a.store = f.store and a.dept = f.dept and a.week = f.target_week
       where f.model_name = $1 and f.dataset = $2 and not exists (
         select from hidden_weeks h
         where h.store = f.store and h.dept in (0, f.dept) and h.week = f.target_week
       )
       on conflict do nothing
       returning p50, actual
     ), known as (
       select p50, actual from ops.forecast_accuracy where model_name = $1 and snapshot_id = $4
     )
     select count(*)::int as n, sum(abs(p50 - actual)) / nullif(sum(abs(actual)), 0) as wape
     from (select * from inserted union all select * from known) compared`,
    [champion.modelName, snapshot.dataset, snapshot.batchId, snapshot.id],
  );
  return { actualsCompared: rows[0]?.n ?? 0, wape: rows[0]?.wape ?? null };
}
