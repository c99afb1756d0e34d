/** Rows that monitor and rollout leave in PostgreSQL: forecasts, their accuracy, and the audit. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createAuditActivities } from '../../activities/audit.ts';
import { createMonitorActivities } from '../../activities/monitor.ts';
import { AVAILABLE_ROWS } from '../../contracts/declaration.ts';
import type { Snapshot } from '../../contracts/jobs.ts';
import type { RegisteredVersion, StepAnalysis } from '../../contracts/rollout.ts';
import type { FeatureDatabase } from '../predictor/processes.ts';
import { removeFolder, scratchFolder, startFeatureDatabase } from '../predictor/processes.ts';
import { activityEnvironment } from './activity-environment.ts';
import { MemoryServing } from './memory-serving.ts';
import type { SmallEndpoint, SmallVersion } from './small-endpoint.ts';
import { startEndpoint } from './small-endpoint.ts';

const modelFolder = mkdtempSync(join(tmpdir(), 'shelfcast-monitor-'));
let folder: string;
let database: FeatureDatabase;
let pool: pg.Pool;

beforeAll(async () => {
  writeFileSync(
    join(modelFolder, 'model.json'),
    JSON.stringify({
      ...{ formatVersion: 1, preset: 'global', dataset: 'shop', feastProject: 'shelfcast_shop' },
      ...{ snapshotId: 'shop-1-ab', featureSetVersion: 'f1', horizonWeeks: 2 },
      ...{ quantiles: [0.1, 0.5, 0.9], onnxSha256: 'a'.repeat(64) },
      features: [{ name: 'lag_1', view: 'sales_history', column: 'lag_1' }],
    }),
  );
  folder = await scratchFolder();
  database = await startFeatureDatabase(folder);
  pool = new pg.Pool({ connectionString: database.url });
  pool.on('error', () => undefined);
}, 120_000);
afterAll(async () => {
  await pool.end();
  await database.stop();
  await removeFolder(folder);
  rmSync(modelFolder, { recursive: true });
});
beforeEach(() =>
  database.run(
    'truncate raw.batch, raw.sales, ops.forecast, ops.forecast_accuracy, ops.rollout_audit cascade',
  ),
);

const rowsOf = async (sql: string): Promise<unknown[][]> =>
  (await pool.query({ text: sql, rowMode: 'array' })).rows;

const champion: RegisteredVersion = {
  modelName: 'm',
  version: 3,
  runId: 'run-3',
  modelUri: pathToFileURL(modelFolder).href,
  modelHash: 'ab',
  dataset: 'shop',
};
/** Snapshot of the first `batchId` batches of sales. */
const snapshot = (batchId: number, lastWeek: string): Snapshot => ({
  id: `shop-${batchId}-ab`,
  dataset: 'shop',
  batchId,
  contentHash: 'ab',
  rowCount: 10,
  seriesCount: 3,
  firstWeek: '2026-01-02',
  lastWeek,
});

type Sale = [batch: number, store: number, dept: number, week: string, sales: number, dataset?: string];
async function sell(...sales: Sale[]): Promise<void> {
  for (const [batch, store, dept, week, amount, dataset = 'shop'] of sales) {
    await pool.query(
      `insert into raw.batch (batch_id, dataset, request_id, source, content_hash, row_count)
       overriding system value values ($1, $2, $3, '{}', 'ab', 1) on conflict do nothing`,
      [batch, dataset, `${dataset}-${batch}`],
    );
    await pool.query(
      `insert into raw.sales (dataset, store, dept, week, batch_id, weekly_sales, is_holiday)
       values ($1, $2, $3, $4, $5, $6, false)`,
      [dataset, store, dept, week, batch, amount],
    );
  }
}

/** Declares missing weeks as zero in a batch of sales. */
const declareZero = (batch: number) =>
  pool.query(
    `insert into raw.extra (dataset, name, store, dept, week, value, batch_id)
     values ('shop', 'missing weeks are zero', 0, 0, '0001-01-01', 1, $1)`,
    [batch],
  );

describe('compareWithActuals', () => {
  const ORIGIN = '2026-03-06';
  const [WEEK, NEXT] = ['2026-03-13', '2026-03-20'];
  const forecast = (version: number, store: number, week: string, [p10, p50, p90]: number[], model = 'm') =>
    pool.query(
      `insert into ops.forecast
         (model_name, model_version, dataset, origin, store, dept, horizon, target_week, p10, p50, p90)
       values ($1, $2, 'shop', $3, $4, 1, ($5::date - $3::date) / 7, $5, $6, $7, $8)`,
      [model, version, ORIGIN, store, week, p10, p50, p90],
    );
  const compare = (taken: Snapshot) =>
    createMonitorActivities({ database: pool, serving: new MemoryServing() }).compareWithActuals({
      champion,
      snapshot: taken,
      horizonWeeks: 2,
    });
  const accuracy = () =>
    rowsOf(
      `select model_version, store, target_week::text, p50, actual, inside_80, snapshot_id
       from ops.forecast_accuracy order by store, target_week`,
    );

  test('records for each forecast whether the actual lies from p10 to p90', async () => {
    const actuals = [79, 80, 90, 100, 150, 151];
    for (const [i, actual] of actuals.entries()) {
      await forecast(3, i + 1, WEEK, [80, 100, 150]);
      await sell([1, i + 1, 1, WEEK, actual]);
    }
    expect(await compare(snapshot(1, WEEK))).toEqual({
      actualsCompared: 6,
      wape: (21 + 20 + 10 + 0 + 50 + 51) / (79 + 80 + 90 + 100 + 150 + 151),
    });
    const inside = [false, true, true, true, true, false];
    expect(await accuracy()).toEqual(
      actuals.map((actual, i) => [3, i + 1, WEEK, 100, actual, inside[i], 'shop-1-ab']),
    );
  });

  test('a repeated attempt counts the records of the first; the next snapshot counts only new records', async () => {
    await forecast(3, 1, WEEK, [80, 100, 150]);
    await forecast(3, 1, NEXT, [80, 100, 150]);
    await sell([1, 1, 1, WEEK, 200], [2, 1, 1, NEXT, 50]);
    const once = { actualsCompared: 1, wape: 0.5 };
    expect(await compare(snapshot(1, WEEK))).toEqual(once);
    expect(await compare(snapshot(1, WEEK))).toEqual(once);
    expect(await compare(snapshot(2, NEXT))).toEqual({ actualsCompared: 1, wape: 1 });
    expect((await accuracy()).map(([, , week]) => week)).toEqual([WEEK, NEXT]);
  });

  test('reads the newest batch of the snapshot; later batches and corrections of compared weeks do not count', async () => {
    await forecast(3, 1, WEEK, [80, 100, 150]);
    await sell([1, 1, 1, WEEK, 110], [2, 1, 1, WEEK, 125], [3, 1, 1, WEEK, 400]);
    expect(await compare(snapshot(2, WEEK))).toEqual({ actualsCompared: 1, wape: 0.2 });
    expect(await compare(snapshot(3, WEEK))).toEqual({ actualsCompared: 0, wape: null });
    expect((await accuracy()).map(([, , , , actual]) => actual)).toEqual([125]);
  });

  test('leaves out other models, data sets, weeks and series', async () => {
    await forecast(3, 1, WEEK, [80, 100, 150], 'other');
    await forecast(3, 2, WEEK, [80, 100, 150]);
    await sell([1, 1, 1, WEEK, 110], [1, 2, 1, NEXT, 110], [1, 2, 2, WEEK, 110]);
    await sell([2, 2, 1, WEEK, 110, 'elsewhere']);
    expect(await compare(snapshot(1, NEXT))).toEqual({ actualsCompared: 0, wape: null });
    expect(await accuracy()).toEqual([]);
  });

  test('counts a week without a row as 0 up to the newest week of its store, if the data set declares so', async () => {
    for (const store of [1, 2]) await forecast(3, store, WEEK, [0, 10, 20]);
    await sell([1, 1, 1, ORIGIN, 9], [1, 2, 1, ORIGIN, 9], [2, 1, 2, NEXT, 9]);
    expect(await compare(snapshot(2, NEXT))).toEqual({ actualsCompared: 0, wape: null });
    await declareZero(2);
    expect(await compare(snapshot(1, ORIGIN))).toEqual({ actualsCompared: 0, wape: null });
    expect(await compare(snapshot(2, NEXT))).toEqual({ actualsCompared: 1, wape: null });
    expect((await accuracy()).map(([, store, week, , actual]) => [store, week, actual])).toEqual([
      [1, WEEK, 0],
    ]);
  });

  test('does not compare weeks in which a series was shut or out of stock', async () => {
    for (const store of [1, 2, 3, 4]) await forecast(3, store, WEEK, [80, 100, 150]);
    for (const store of [1, 2, 3, 4]) await sell([1, store, 1, WEEK, 110]);
    await sell([2, 9, 1, NEXT, 1]);
    const share = 'share of the week in stock';
    await database.run(
      `insert into raw.extra (dataset, name, store, dept, week, value, batch_id) values
         ('shop', '${share}', 1, 1, '${WEEK}', 0.5, 1), ('shop', 'open', 2, 0, '${WEEK}', 0, 1),
         ('shop', '${share}', 3, 2, '${WEEK}', 0, 1), ('shop', '${share}', 4, 1, '${WEEK}', 0, 1),
         ('shop', '${share}', 4, 1, '${WEEK}', 1, 2)`,
    );
    expect(await compare(snapshot(2, NEXT))).toMatchObject({ actualsCompared: 2 });
    expect((await accuracy()).map(([, store]) => store)).toEqual([3, 4]);
  });

  test('has no WAPE when nothing was sold; returned goods count by their absolute value', async () => {
    await forecast(3, 1, WEEK, [0, 10, 20]);
    await sell([1, 1, 1, WEEK, 0]);
    expect(await compare(snapshot(1, WEEK))).toEqual({ actualsCompared: 1, wape: null });
    await forecast(3, 2, NEXT, [0, 10, 20]);
    await sell([2, 2, 1, NEXT, -5]);
    expect(await compare(snapshot(2, NEXT))).toEqual({ actualsCompared: 1, wape: 3 });
  });
});

describe('recordForecasts', () => {
  const LAST = '2026-03-06';
  let endpoint: SmallEndpoint;
  afterEach(() => endpoint.stop());

  const answer: SmallVersion['answer'] = (instances) => ({
    status: 200,
    body: {
      modelName: 'm',
      modelVersion: '3',
      predictions: instances.map(({ store, dept, horizon = 0 }) => {
        const p50 = 100 * Number(store) + Number(dept) + horizon / 10;
        const targetWeek = new Date(Date.parse(LAST) + horizon * 7 * 86_400_000).toISOString().slice(0, 10);
        return {
          store,
          dept,
          horizon,
          origin: LAST,
          targetWeek,
          forecast: p50,
          p10: p50 - 1,
          p50,
          p90: p50 + 2,
        };
      }),
    },
  });
  const record = async (horizonWeeks: number, asked: SmallVersion['answer'] = answer) => {
    endpoint = await startEndpoint({
      3: { weightPercent: 0, answer: asked },
      4: { weightPercent: 100, answer: () => ({ status: 500, body: {} }) },
    });
    const { recordForecasts } = createMonitorActivities({
      database: pool,
      serving: new MemoryServing([], endpoint.url),
    });
    return activityEnvironment().run(recordForecasts, {
      champion,
      snapshot: snapshot(1, LAST),
      horizonWeeks,
    });
  };

  test('asks the champion, pinned, for each series with sales in the last weeks, and records each answer once', async () => {
    await sell([1, 1, 1, LAST, 10], [1, 2, 7, '2026-02-06', 10], [2, 4, 1, LAST, 10]);
    await sell([1, 3, 1, '2026-01-30', 10]);
    const expected = {
      modelVersion: 3,
      // The model knows two weeks ahead, whatever is asked for.
      forecastsRecorded: 4,
      seriesForecast: 2,
      seriesLeftOut: 1,
      samples: [
        { store: 1, dept: 1, targetWeek: '2026-03-13', p10: 100.1, p50: 101.1, p90: 103.1 },
        { store: 2, dept: 7, targetWeek: '2026-03-13', p10: 206.1, p50: 207.1, p90: 209.1 },
      ],
    };
    expect(await record(5)).toEqual(expected);
    await endpoint.stop();
    expect(await record(5)).toEqual(expected);
    expect(endpoint.asked).toMatchObject([{ version: 3, pinned: true }]);
    expect(
      await rowsOf(
        `select model_name, model_version, dataset, origin::text, store, dept, horizon, target_week::text, p10, p50, p90
         from ops.forecast order by store, horizon`,
      ),
    ).toEqual([
      ['m', 3, 'shop', LAST, 1, 1, 1, '2026-03-13', 100.1, 101.1, 103.1],
      ['m', 3, 'shop', LAST, 1, 1, 2, '2026-03-20', 100.2, 101.2, 103.2],
      ['m', 3, 'shop', LAST, 2, 7, 1, '2026-03-13', 206.1, 207.1, 209.1],
      ['m', 3, 'shop', LAST, 2, 7, 2, '2026-03-20', 206.2, 207.2, 209.2],
    ]);
  });

  test("asks and shows by the user's ids, and records by numbers, which views show by id", async () => {
    await sell([1, 1, 1, LAST, 10], [1, 2, 7, LAST, 10], [2, 1, 1, LAST, 10]);
    await database.run(
      `insert into raw.id (dataset, "of", id, number, is_current, batch_id) values
         ('shop', 'store', 'CA_1', 1, true, 1), ('shop', 'store', 'TX_1', 2, true, 1),
         ('shop', 'dept', '1', 1, true, 1), ('shop', 'dept', 'TOYS', 7, true, 1),
         ('shop', 'dept', 'TOYS', 7, false, 2), ('shop', 'dept', 'GAMES', 7, true, 2),
         ('elsewhere', 'store', 'NY_1', 1, true, 1)`,
    );
    const values = { forecast: 2, p10: 1, p50: 2, p90: 3 };
    const recorded = await record(1, (instances) => ({
      status: 200,
      body: {
        ...{ modelName: 'm', modelVersion: '3' },
        predictions: instances.map(({ store, dept, horizon }) => ({
          ...{ store, dept, horizon, origin: LAST, targetWeek: '2026-03-13' },
          ...values,
        })),
      },
    }));
    const series = [
      ['CA_1', '1'],
      ['TX_1', 'GAMES'],
    ];
    const [asked] = endpoint.asked;
    expect(asked?.instances.map(({ store, dept }) => [store, dept])).toEqual(series);
    expect(recorded).toMatchObject({ samples: series.map(([store, dept]) => ({ store, dept })) });
    expect(await rowsOf('select store, dept from ops.forecast order by store')).toEqual([
      [1, 1],
      [2, 7],
    ]);
    const byId =
      'select store, dept, p10, p50, p90, target_week::text from ops.forecast_by_id order by store';
    expect(await rowsOf(byId)).toEqual(series.map((ids) => [...ids, 1, 2, 3, '2026-03-13']));
    await sell([3, 2, 7, '2026-03-13', 4], [3, 9, 9, '2026-03-13', 4]);
    await createMonitorActivities({ database: pool, serving: new MemoryServing() }).compareWithActuals({
      ...{ champion, snapshot: snapshot(3, '2026-03-13'), horizonWeeks: 1 },
    });
    expect(await rowsOf('select store, dept, p50, actual from ops.forecast_accuracy_by_id')).toEqual([
      ['TX_1', 'GAMES', 2, 4],
    ]);
  });

  test('asks for what remains of a merge, and compares with the sum', async () => {
    await sell([1, 1, 7, LAST, 10], [1, 2, 7, LAST, 5], [1, 2, 8, LAST, 5]);
    await pool.query(
      `insert into raw.merge (dataset, "of", number, into_number, batch_id)
       values ('shop', 'store', 2, 1, 1)`,
    );
    await record(1);
    const askedFor = endpoint.asked[0]?.instances.map(({ store, dept }) => [store, dept]);
    expect(askedFor).toEqual([
      [1, 7],
      [1, 8],
    ]);
    await sell([2, 1, 7, '2026-03-13', 4], [2, 2, 7, '2026-03-13', 6], [2, 2, 8, '2026-03-13', 7]);
    // A store that is shut since it was merged shuts none that remains.
    await pool.query(
      `insert into raw.merge (dataset, "of", number, into_number, batch_id) values ('shop', 'dept', 8, 7, 2);
       insert into raw.extra (dataset, name, store, dept, week, value, batch_id)
       values ('shop', 'open', 2, 0, '2026-03-13', 0, 2)`,
    );
    await createMonitorActivities({ database: pool, serving: new MemoryServing() }).compareWithActuals({
      ...{ champion, snapshot: snapshot(2, '2026-03-13'), horizonWeeks: 1 },
    });
    expect(await rowsOf('select store, dept, actual from ops.forecast_accuracy')).toEqual([[1, 7, 17]]);
  });

  test('leaves out a series whose weeks are all hidden, and none that has begun', async () => {
    await sell([1, 1, 1, LAST, 10], [1, 2, 7, LAST, 10]);
    await sell([1, 2, 8, LAST, 10], [1, 2, 8, '2025-11-07', 10]);
    await pool.query(
      `insert into raw.extra (dataset, name, store, dept, week, value, batch_id) values
         ('shop', $2, 2, 7, $1, 0.4, 1), ('shop', $2, 2, 8, $1, 0.4, 1)`,
      [LAST, AVAILABLE_ROWS],
    );
    expect(await record(1)).toMatchObject({ seriesForecast: 2, seriesLeftOut: 1 });
    const [asked] = endpoint.asked;
    expect(asked?.instances.map(({ store, dept }) => [store, dept])).toEqual([
      [1, 1],
      [2, 8],
    ]);
  });

  test('asks for at most horizonWeeks weeks', async () => {
    await sell([1, 1, 1, LAST, 10]);
    expect(await record(1)).toMatchObject({ forecastsRecorded: 1 });
  });

  test.each([
    [422, 'CandidateFailed', true],
    [503, 'ServiceUnavailable', false],
  ])('an answer of %i fails as %s and records nothing', async (status, type, nonRetryable) => {
    await sell([1, 1, 1, LAST, 10]);
    await expect(record(1, () => ({ status, body: { error: 'no' } }))).rejects.toMatchObject({
      type,
      nonRetryable,
      message: expect.stringMatching(
        `^version 3 did not return 1 forecasts: the answer was ${status} `,
      ) as string,
    });
    expect(await rowsOf('select * from ops.forecast')).toEqual([]);
  });
});

test('the audit keeps the first row of each step of a run', async () => {
  const analysis: StepAnalysis = {
    ...{ weightPercent: 10, requests: { 3: 40 }, failedRequests: {}, unreachable: {} },
    ...{ compared: { 3: 200 }, wape: { 3: 0.1 }, maxParityDifference: 0 },
  };
  const { audit } = createAuditActivities({ database: pool });
  const row = { modelName: 'm', version: 3, weights: { 2: 90, 3: 10 }, reason: 'WAPE 10 %' };
  const step = { ...row, step: 'traffic-10', action: 'traffic', analysis } as const;
  await activityEnvironment().run(audit, step);
  await activityEnvironment().run(audit, { ...step, reason: 'again' });
  await activityEnvironment().run(audit, { ...row, step: 'promoted', action: 'promoted' as const });
  expect(
    await rowsOf(
      'select run_key, step, model_name, version, action, weights, reason, analysis from ops.rollout_audit order by step',
    ),
  ).toEqual([
    ['pipeline-m-583fe520', 'promoted', 'm', 3, 'promoted', { 2: 90, 3: 10 }, 'WAPE 10 %', null],
    ['pipeline-m-583fe520', 'traffic-10', 'm', 3, 'traffic', { 2: 90, 3: 10 }, 'WAPE 10 %', analysis],
  ]);
});
