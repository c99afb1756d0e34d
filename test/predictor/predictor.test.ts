/** A predictor process on real features: rows written by Feast into a real PostgreSQL. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../infra/local/ports.ts';
import { PROJECT_DIR } from '../platform.ts';
import {
  answering,
  eventually,
  removeFolder,
  scratchFolder,
  startFeatureDatabase,
  startMain,
} from './processes.ts';
import { openPool } from '../../predictor/feast-tables.ts';
import { createPredictorMetrics } from '../../predictor/metrics.ts';
import { loadModel } from '../../predictor/model.ts';
import { createOnlineFeatures } from '../../predictor/online-features.ts';
import { createReadiness } from '../../predictor/readiness.ts';
import { createSeriesNumberReader } from '../../predictor/series-numbers.ts';
import { createPredictor } from '../../predictor/server.ts';
import { createTotalReader } from '../../predictor/totals.ts';
import type { FeatureDatabase, RunningMain } from './processes.ts';
import { modelHash, writeFeastRows, writeModels } from './python.ts';
import { FEATURES, expectedP50, post, raw } from './requests.ts';
import { predictResponseSchema, totalsResponseSchema } from '../../contracts/predict.ts';
import type { ModelManifest } from '../../contracts/model.ts';
import type { TotalsResponse } from '../../contracts/predict.ts';
import type { Answer, Instance, Prediction } from './requests.ts';

let folder: string;
let database: FeatureDatabase;
let predictor: RunningMain;
let environment: Record<string, string>;

beforeAll(async () => {
  folder = await scratchFolder();
  [database] = await Promise.all([
    startFeatureDatabase(folder),
    writeModels(join(folder, 'models'), [0, 500]),
  ]);
  await writeFeastRows(database.url);
  await database.run(
    "insert into ops.feature_watermark values ('shelfcast_golden', '2012-01-27', 'golden-1-000000000000')",
  );
  const port = await freePort();
  environment = {
    MODEL_NAME: 'sales-forecast',
    MODEL_VERSION: '3',
    MODEL_URI: pathToFileURL(join(folder, 'models', '1')).href,
    MODEL_SHA256: await modelHash(join(folder, 'models', '1')),
    DATABASE_URL: database.url,
    DRAIN_MS: '0',
  };
  predictor = startMain('main', port, { ...environment, PORT: String(port) });
  await answering(predictor, '/readyz');
}, 90_000);

afterAll(async () => {
  await predictor.stop();
  await database.stop();
  await removeFolder(folder);
}, 30_000);

const ask = (instances: unknown[], query = ''): Promise<Answer> =>
  post(`${predictor.url}/v1/models/sales-forecast:predict${query}`, { instances });

async function refusal(instances: unknown[]): Promise<[number, string | undefined, string | undefined]> {
  const { status, body } = await ask(instances);
  return [status, body.error?.code, body.error?.message];
}

describe('features from Feast', () => {
  it('answers with the forecast of the features that Feast wrote', async () => {
    const { status, headers, body } = await ask([{ store: 1, dept: 3, horizon: 1 }]);
    const features = { ...raw(), lag_1: 1003, rolling_mean_4: 1.5, last_year: 103, temperature: 40.25 };
    const known = { ...features, store_size: 100_001, store_type: 1, is_holiday: 0, week_of_year: 5 };
    const p50 = expectedP50({ store: 1, dept: 3, horizon: 1 }, known);
    expect([status, headers.get('x-shelfcast-version')]).toEqual([200, '3']);
    expect(body).toEqual({
      modelName: 'sales-forecast',
      modelVersion: '3',
      predictions: [
        {
          store: 1,
          dept: 3,
          horizon: 1,
          origin: '2012-01-27',
          targetWeek: '2012-02-03',
          forecast: p50,
          p10: Math.fround(p50 - 10),
          p50,
          p90: Math.fround(p50 + 10),
        },
      ],
    });
  });

  it('reads the target week of each horizon, its calendar and its same week last year', async () => {
    const { body } = await ask([{ store: 2, dept: 4, horizon: 2 }], '?explain=features');
    expect(body.predictions?.[0]).toMatchObject({
      targetWeek: '2012-02-10',
      features: {
        lag_1: 2004,
        rolling_mean_4: 2,
        last_year: 204,
        temperature: null,
        store_size: 100_002,
        store_type: 2,
        is_holiday: 1,
        week_of_year: 6,
      },
    });
  });

  it('forecasts a target week as the horizon that leads to it, alone and beside horizons', async () => {
    const series = { store: 2, dept: 4 };
    const { body } = await ask([{ ...series, horizon: 2 }], '?explain=features');
    const [expected] = body.predictions ?? [];
    expect(expected?.targetWeek).toBe('2012-02-10');
    const week = { ...series, targetWeek: '2012-02-10' };
    const alone = await ask([week], '?explain=features');
    expect(alone.body.predictions).toEqual([expected]);
    const mixed = await ask([{ ...series, horizon: 1 }, week], '?explain=features');
    expect(mixed.body.predictions?.map(({ horizon }) => horizon)).toEqual([1, 2]);
    expect(mixed.body.predictions?.[1]).toEqual(expected);
    const late = { store: 1, dept: 9 };
    const both = await ask([week, { ...late, targetWeek: '2012-02-10' }]);
    expect(both.body.predictions?.map(({ origin, horizon }) => [origin, horizon])).toEqual([
      ['2012-01-27', 2],
      ['2011-12-30', 6],
    ]);
    const six = await ask([{ ...late, horizon: 6 }]);
    expect(both.body.predictions?.[1]).toEqual(six.body.predictions?.[0]);
  });

  it('reads the columns of a horizon of two digits', async () => {
    const asked = { store: 2, dept: 4, horizon: 12 };
    const { body } = await ask([asked], '?explain=features');
    const [prediction] = body.predictions ?? [];
    expect(prediction).toMatchObject({
      targetWeek: '2012-04-20',
      features: { last_year: 1204, week_of_year: 16 },
    });
    expect(prediction?.p50).toBe(expectedP50(asked, prediction?.features ?? raw()));
  });

  it('answers each instance of a batch the same as alone', async () => {
    const series = [1, 2].flatMap((store) => [3, 4].map((dept) => ({ store, dept })));
    const all = series.flatMap((one) => [1, 2, 12].map((horizon) => ({ ...one, horizon })));
    const alone = await Promise.all(
      all.map(async (instance) => (await ask([instance], '?explain=features')).body.predictions?.[0]),
    );
    const indices = fc.array(fc.nat(all.length - 1), { minLength: 1, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(indices, async (asked) => {
        const { body } = await ask(
          asked.map((i) => all[i]),
          '?explain=features',
        );
        expect(body.predictions).toEqual(asked.map((i) => alone[i]));
      }),
      { numRuns: 40 },
    );
  });

  it.each([
    ['null and no value at all', { store: 1, dept: 5, horizon: 2 }, { lag_1: null, last_year: null }],
    [
      'NaN, and a single to its last bit',
      { store: 1, dept: 6, horizon: 1 },
      { lag_1: null, rolling_mean_4: Math.fround(0.1) },
    ],
    [
      'the smallest double, and a large whole number',
      { store: 1, dept: 7, horizon: 1 },
      { lag_1: 5e-324, last_year: -(2 ** 53) },
    ],
    ['a double to its last bit', { store: 1, dept: 8, horizon: 1 }, { lag_1: 0.1 + 0.2 }],
    [
      'negative entities',
      { store: -5, dept: -7, horizon: 1 },
      { lag_1: -5007, rolling_mean_4: -3.5, temperature: -12.5 },
    ],
  ])('reads %s', async (_name, asked, features) => {
    const { body } = await ask([asked], '?explain=features');
    const [prediction] = body.predictions ?? [];
    expect(prediction?.features).toMatchObject(features);
    expect(prediction?.p50).toBe(expectedP50(asked, prediction?.features ?? raw()));
  });

  it('keeps the order of a mixed batch of raw and stored features', async () => {
    const instances = Array.from({ length: 60 }, (_, i): Instance => {
      const asked = { store: 1 + (i % 2), dept: 3 + (i % 3 === 0 ? 1 : 0), horizon: 1 + (i % 2) };
      return i % 5 === 0
        ? { ...asked, features: raw({ lag_1: i, temperature: i % 10 === 0 ? null : 1 }) }
        : asked;
    });
    const { body } = await ask(instances, '?explain=features');
    expect(body.predictions).toHaveLength(60);
    body.predictions?.forEach((prediction: Prediction, i) => {
      const asked = instances[i] as Instance;
      expect(prediction).toMatchObject({ store: asked.store, dept: asked.dept, horizon: asked.horizon });
      if (asked.features !== undefined) expect(prediction).toMatchObject({ origin: null, targetWeek: null });
      expect(prediction.p50).toBe(expectedP50(asked, asked.features ?? prediction.features ?? raw()));
    });
  });
});

describe('ids of text', () => {
  let pool: pg.Pool;
  let regionManifest: ModelManifest;
  let app: ReturnType<typeof createPredictor>;

  beforeAll(async () => {
    const model = await loadModel(pathToFileURL(join(folder, 'models', '1')).href, { threads: 1 });
    const scales = {
      coverage80: new Array<number>(12).fill(0.25),
      coverage95: new Array<number>(12).fill(0.5),
    };
    const levels = { store: scales, dept: scales, region: scales, category: scales, total: scales };
    const manifest = { ...model.manifest, dataset: 'shop', levels };
    await database.run(`
      insert into raw.batch (dataset, request_id, source, content_hash, row_count) select 'shop', 's', '{}', 'ab', 1;
      insert into raw.id select 'shop', "of", id, number, is_current, batch_id from raw.batch, (values
        ('store', 'CA_1', 1, true), ('store', '18446744073709551615', 2, true), ('store', 'empty', 5, true),
        ('dept', '4006381333931', 3, true), ('dept', '007', 4, true), ('dept', 'old 007', 4, false),
        ('store', 'closed', 66, true), ('dept', 'toys', 77, true)
      ) as ids ("of", id, number, is_current);
      insert into raw.batch (dataset, request_id, source, content_hash, row_count) select 'shop', 's2', '{}', 'ab', 1;
      insert into raw.level_member select 'shop', level, "of", number, member, b.batch_id from raw.batch b join (values
        ('s', 'region', 'store', 1, 'south'), ('s2', 'region', 'store', 1, 'Süd'), ('s', 'region', 'store', 2, 'Süd'),
        ('s', 'region', 'store', 3, null), ('s', 'category', 'dept', 4, 'dry'), ('s', 'category', 'dept', 10, 'old')
      ) as m (request, level, "of", number, member) on b.request_id = m.request;
      insert into raw.merge select 'shop', "of", number, into_number, b.batch_id from raw.batch b join (values
        ('s', 'store', 66, 2), ('s2', 'store', 66, 1), ('s', 'dept', 77, 4)
      ) as m (request, "of", number, into_number) on b.request_id = m.request`);
    regionManifest = manifest;
    pool = openPool(database.url);
    const seriesNumbers = createSeriesNumberReader(pool, manifest.dataset);
    app = createPredictor({
      ...{ name: 'sales-forecast', version: '3', logLevel: 'silent' },
      model: { ...model, manifest },
      seriesNumbers,
      totals: createTotalReader(pool, manifest, seriesNumbers),
      features: createOnlineFeatures(pool, manifest),
      readiness: createReadiness(pool),
      metrics: createPredictorMetrics('sales-forecast', '3'),
    });
  });
  afterAll(async () => {
    await app.close();
    await pool.end();
  });

  const askShop = async (instances: unknown[]): Promise<[number, Answer['body']]> => {
    const url = '/v1/models/sales-forecast:predict?explain=features';
    const response = await app.inject({ method: 'POST', url, payload: { instances } });
    return [response.statusCode, response.json()];
  };

  it('find the features and the number of a series, and are answered as the request wrote them', async () => {
    const asked = [
      { store: 'CA_1', dept: '4006381333931', horizon: 1 },
      { store: 'CA_1', dept: 4_006_381_333_931, horizon: 1 },
      { store: ' 18446744073709551615', dept: '007', horizon: 2 },
      { store: '18446744073709551615', dept: 'old 007', horizon: 2 },
    ];
    const [status, body] = await askShop([...asked, { ...asked[2], features: raw() }]);
    expect(status).toBe(200);
    const numbers = [
      [1, 3],
      [1, 3],
      [2, 4],
      [2, 4],
      [2, 4],
    ].map(([store = 0, dept = 0]) => ({ store, dept }));
    expect(body.predictions?.slice(0, 4)).toMatchObject(asked);
    body.predictions?.forEach((prediction, i) => {
      const series = { ...(numbers[i] as { store: number; dept: number }), horizon: prediction.horizon };
      expect(prediction.p50).toBe(expectedP50(series, prediction.features ?? raw()));
      if (i < 4) expect(prediction.features?.lag_1).toBe(1000 * series.store + series.dept);
    });
  });

  it('answers the totals without a fault beside the others with ?partial=true', async () => {
    const url = '/v1/models/sales-forecast:predict?partial=true';
    const members = ['CA_1', 'none', 'CA_1'].map((member) => ({ level: 'store', member, horizon: 1 }));
    const response = await app.inject({ method: 'POST', url, payload: { instances: members } });
    const { predictions, faults } = totalsResponseSchema.parse(response.json());
    expect(predictions.map(({ instance }) => instance)).toEqual([0, 2]);
    expect(faults).toMatchObject([{ instance: 1, code: 'UNKNOWN_MEMBER', member: 'none' }]);
  });

  it.each([1, 8])('cancels the queries of %d totals when the clients have left', async (count) => {
    const [blocker, watcher] = [new pg.Client(pool.options), new pg.Client(pool.options)];
    await Promise.all([blocker.connect(), watcher.connect()]);
    await blocker.query('begin; lock table raw.level_member in access exclusive mode');
    const client = new AbortController();
    const reader = createTotalReader(pool, regionManifest, createSeriesNumberReader(pool, 'shop'));
    const running = async (): Promise<number> => {
      const query = `select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and query like '%level_member%'`;
      return (await watcher.query<{ n: number }>(query)).rows[0]?.n ?? 0;
    };
    const refused = Array.from({ length: count }, () =>
      expect(reader.seriesOf({ level: 'region', member: 'south' }, 0, client.signal)).rejects.toThrow(
        'The client has left.',
      ),
    );
    while ((await running()) < count) await sleep(20);
    const left = Date.now();
    client.abort(new Error('The client has left.'));
    await Promise.all(refused);
    // PostgreSQL would end the query by itself after 5 seconds, and a connection of the pool is given after 2.
    expect(Date.now() - left).toBeLessThan(1_500);
    expect(await running()).toBe(0);
    await Promise.all([blocker.end(), watcher.end()]);
    const again = reader.seriesOf({ level: 'region', member: 'S\u00fcd' }, 0, new AbortController().signal);
    expect(await again).not.toHaveLength(0);
  });

  const askTotals = async (instances: unknown[]): Promise<[number, TotalsResponse & Answer['body']]> => {
    const url = '/v1/models/sales-forecast:predict';
    const response = await app.inject({ method: 'POST', url, payload: { instances } });
    return [response.statusCode, response.json()];
  };

  it.each([
    [{ level: 'store', member: 'CA_1' }, [3, 4, 5, 6, 7, 8, 9].map((dept) => [1, dept])],
    [
      { level: 'dept', member: 'old 007' },
      [
        [1, 4],
        [2, 4],
      ],
    ],
    [
      { level: 'category', member: 'dry' },
      [
        [1, 4],
        [2, 4],
      ],
    ],
    [
      { level: 'region', member: ' Su\u0308d' },
      [...[3, 4, 5, 6, 7, 8, 9].map((dept) => [1, dept]), [2, 3], [2, 4]],
    ],
  ])('sums %j over the series that have not ended', async (asked, series) => {
    const targetWeek = '2012-02-03';
    const single = await ask(series.map(([store, dept]) => ({ store, dept, targetWeek })));
    const sum = (key: 'p10' | 'p50' | 'p90'): number =>
      (single.body.predictions ?? []).reduce((total, prediction) => total + prediction[key], 0);
    const [low, p50, high] = [sum('p10'), sum('p50'), sum('p90')];
    const [status, body] = await askTotals([
      { ...asked, horizon: 1 },
      { ...asked, targetWeek },
    ]);
    expect(status).toBe(200);
    const { predictions, modelVersion } = totalsResponseSchema.parse(body);
    expect(modelVersion).toBe('3');
    const expected = {
      ...asked,
      ...{ horizon: 1, origin: '2012-01-27', targetWeek, forecast: p50, p50 },
      p10: p50 - 0.25 * (p50 - low),
      p90: p50 + 0.25 * (high - p50),
      series: series.length,
    };
    expect(predictions).toEqual([expected, expected]);
  });

  it.each([
    [
      'a level that no model knows',
      { level: 'country', member: 'DE' },
      404,
      'UNKNOWN_LEVEL',
      'which knows store, dept',
    ],
    [
      'a member that no series has',
      { level: 'region', member: 'south' },
      404,
      'UNKNOWN_MEMBER',
      'no series of the data set "shop" is in "south"',
    ],
    [
      'a store that does not exist',
      { level: 'store', member: 'ca_1' },
      404,
      'UNKNOWN_MEMBER',
      '"ca_1" of the level "store"',
    ],
    [
      'series that have all ended',
      { level: 'category', member: 'old' },
      409,
      'STALE_FEATURES',
      'all series of "old"',
    ],
    [
      'a series that no store is known of',
      { level: 'total' },
      409,
      'MISSING_FEATURES',
      'store 3, dept "4006381333931"',
    ],
  ])('refuse the total of %s', async (_name, asked, status, code, words) => {
    const good = { level: 'region', member: 'Süd', horizon: 1 };
    const [said, { error }] = await askTotals([good, { ...asked, horizon: 1 }]);
    expect([said, error]).toMatchObject([status, { code, instance: 1 }]);
    expect(error?.message).toContain(words);
  });

  it.each([
    ['is no last day of a week', '2012-02-04', 400, 'INVALID_INSTANCE', 'not the last day of a week'],
    ['is known', '2012-01-27', 422, 'HORIZON_OUT_OF_RANGE', 'not after 2012-01-27'],
    ['is too far', '2012-04-27', 422, 'HORIZON_OUT_OF_RANGE', 'answers 1 to 12 weeks ahead'],
  ])('refuse the total of a week that %s', async (_name, targetWeek, status, code, words) => {
    const [said, { error }] = await askTotals([{ level: 'region', member: 'Süd', targetWeek }]);
    expect([said, error]).toMatchObject([status, { code, instance: 0 }]);
    expect(error?.message).toContain(words);
  });

  it('refuse the total of a store that has not reported, where the model does not reach the week', async () => {
    const table = 'feast_online.shelfcast_golden_sales_history';
    await database.run(`
      create temp table late as select * from ${table} where store = 2 and dept = 4;
      update late set store = 6, event_ts = event_ts - interval '14 days';
      insert into ${table} select * from late`);
    const asked = { level: 'dept', member: '007' };
    const [said, { error }] = await askTotals([{ ...asked, horizon: 12 }]);
    await database.run(`delete from ${table} where store = 6`);
    expect([said, error?.code]).toEqual([422, 'HORIZON_OUT_OF_RANGE']);
    expect(error?.message).toContain(
      'store 6, dept "007": targetWeek 2012-04-20 is 14 weeks after 2012-01-13',
    );
    expect((await askTotals([{ ...asked, horizon: 12 }]))[0]).toBe(200);
  });

  it('take the farthest forecast of a series that skipped weeks of its store', async () => {
    const [said, body] = await askTotals([{ level: 'store', member: 'CA_1', horizon: 12 }]);
    // Its farthest week is 8 weeks after the others' newest one, of which the calendar has no row.
    expect([said, body.error?.message]).toEqual([
      409,
      expect.stringContaining('store "CA_1", dept 9: the calendar has no row for the target week 2012-03-23'),
    ]);
  });

  it.each([
    ['an unknown store', 'ca_1', '007', 'store "ca_1", dept "007" is not a series of the data set "shop".'],
    ['an unknown department', 'CA_1', 'TOYS', 'store "CA_1", dept "TOYS" is not a series of'],
    ['two ids that are no series together', 'empty', '007', 'store "empty", dept "007" is not a series of'],
    ['the number of another id', 1, '007', 'store 1, dept "007" is not a series of'],
  ])('name %s', async (_name, store, dept, words) => {
    const [status, { error }] = await askShop([
      { store: 'CA_1', dept: '007', horizon: 1 },
      { store, dept, horizon: 1 },
    ]);
    expect([status, error]).toMatchObject([404, { code: 'UNKNOWN_SERIES', instance: 1, store, dept }]);
    expect(error?.message).toContain(`Instance 1: ${words}`);
  });

  it('that were merged name the id that remains', async () => {
    const merged = 'The store "closed" was merged into "CA_1"; ask for that.';
    const [status, { error }] = await askShop([{ store: 'closed', dept: 'toys', horizon: 1 }]);
    expect([status, error?.code, error?.message]).toEqual([
      ...[404, 'UNKNOWN_SERIES'],
      `Instance 0: store "closed", dept "toys" is not a series of the data set "shop". ${merged} ` +
        'The dept "toys" was merged into "007"; ask for that.',
    ]);
    const [, { error: ofTotal }] = await askTotals([{ level: 'store', member: 'closed', horizon: 1 }]);
    expect([ofTotal?.code, ofTotal?.message]).toEqual([
      'UNKNOWN_MEMBER',
      `Instance 0: no series of the data set "shop" is in "closed" of the level "store". ${merged}`,
    ]);
  });
});

describe('refusals', () => {
  it('names an unknown series', async () => {
    const { status, body } = await ask([
      { store: 1, dept: 3, horizon: 1 },
      { store: 99, dept: 3, horizon: 1 },
    ]);
    expect([status, body.error]).toEqual([
      404,
      {
        code: 'UNKNOWN_SERIES',
        message: 'Instance 1: store 99, dept 3 is not a series of the data set "golden".',
        instance: 1,
        store: 99,
        dept: 3,
      },
    ]);
  });

  const MIXED = [
    { store: 1, dept: 3, horizon: 2 },
    { store: 99, dept: 3, horizon: 1 },
    { store: 1, dept: 8, horizon: 1, features: raw({ lag_1: 5 }) },
    { store: 2, dept: 4, horizon: 1 },
    { store: 1, dept: 98, horizon: 1 },
  ];

  it('lists all faulty instances, up to 20', async () => {
    const { status, body } = await ask(MIXED);
    expect([status, body.error]).toMatchObject([
      404,
      {
        code: 'UNKNOWN_SERIES',
        instance: 1,
        message: expect.stringMatching(/^Instance 1: .* 1 more instance has a fault\.$/) as string,
        faults: [
          { instance: 1, code: 'UNKNOWN_SERIES', store: 99 },
          { instance: 4, code: 'UNKNOWN_SERIES', dept: 98 },
        ],
      },
    ]);
    const many = await ask(Array.from({ length: 100 }, (_, i) => ({ store: 1, dept: 3, horizon: -i })));
    expect(many.body.error).toMatchObject({
      code: 'HORIZON_OUT_OF_RANGE',
      message: expect.stringContaining('99 more instances have faults') as string,
    });
    expect((many.body.error as { faults?: unknown[] }).faults).toHaveLength(20);
  });

  it('with ?partial=true answers the instances without a fault as alone, and lists the others', async () => {
    const asked = [...MIXED, { store: 1, dept: 3, horizon: 99 }, { store: 1, dept: 4, horizon: 1 }];
    const { status, body } = await ask(asked, '?partial=true&explain=features');
    expect(status).toBe(200);
    const answer = predictResponseSchema.parse(body);
    expect(answer.faults?.map(({ instance, code }) => [instance, code])).toEqual([
      [1, 'UNKNOWN_SERIES'],
      [4, 'UNKNOWN_SERIES'],
      [5, 'HORIZON_OUT_OF_RANGE'],
    ]);
    expect(answer.predictions.map(({ instance }) => instance)).toEqual([0, 2, 3, 6]);
    for (const { instance = -1, ...prediction } of answer.predictions) {
      const alone = await ask([asked[instance]], '?explain=features');
      expect(prediction).toEqual(alone.body.predictions?.[0]);
    }
  });

  it('with ?partial=true refuses a request of which no instance can be answered', async () => {
    const { status, body } = await ask([{ store: 99, dept: 3, horizon: 1 }, null], '?partial=true');
    expect([status, body.error?.code]).toEqual([404, 'UNKNOWN_SERIES']);
    expect((await ask(MIXED, '?partial=yes')).body.error?.message).toBe(
      'The query parameter "partial" can only be "true".',
    );
  });

  it('refuses features that say nothing about the sales', async () => {
    const nothing = Object.fromEntries(Object.keys(raw()).map((name) => [name, null]));
    const [status, code, message] = await refusal([{ store: 1, dept: 3, horizon: 1, features: nothing }]);
    expect([status, code]).toEqual([400, 'MISSING_RAW_FEATURES']);
    expect(message).toContain('all "features" of the sales are null');
    const some = { ...nothing, lag_1: 7 };
    expect((await ask([{ store: 1, dept: 3, horizon: 1, features: some }])).status).toBe(200);
  });

  it('answers a series of 28 days before the watermark and refuses an older one', async () => {
    expect((await ask([{ store: 1, dept: 9, horizon: 4 }])).body.predictions?.[0]?.origin).toBe('2011-12-30');
    const { status, body } = await ask([{ store: 1, dept: 10, horizon: 1 }]);
    expect([status, body.error]).toEqual([
      409,
      expect.objectContaining({ code: 'STALE_FEATURES', eventDate: '2011-12-23', watermark: '2012-01-27' }),
    ]);
  });

  it.each([
    [409, 'MISSING_FEATURES', 'store_externals has no row', { store: 3, dept: 3, horizon: 1 }],
    [409, 'MISSING_CALENDAR_WEEK', '2012-02-17', { store: 1, dept: 3, horizon: 3 }],
    [500, 'NON_FINITE_FORECAST', 'Infinity', { store: 4, dept: 3, horizon: 1 }],
    [
      500,
      'NON_FINITE_FORECAST',
      'Infinity',
      { store: 1, dept: 1, horizon: 1, features: raw({ temperature: -999 }) },
    ],
    [422, 'HORIZON_OUT_OF_RANGE', '1 to 12 weeks', { store: 1, dept: 3, horizon: 13 }],
    [422, 'HORIZON_OUT_OF_RANGE', '1 to 12 weeks', { store: 1, dept: 3, horizon: 0 }],
    [
      400,
      'INVALID_INSTANCE',
      '"store" must be a string or a whole number, but is true',
      { store: true, dept: 3, horizon: 1 },
    ],
    [400, 'INVALID_INSTANCE', 'but is 1.5', { store: 1, dept: 1.5, horizon: 1 }],
    [400, 'INVALID_INSTANCE', '"horizon" must be a whole number, but is missing', { store: 1, dept: 3 }],
    [422, 'HORIZON_OUT_OF_RANGE', 'is not after 2012-01-27', { store: 1, dept: 3, targetWeek: '2012-01-27' }],
    [422, 'HORIZON_OUT_OF_RANGE', 'is 13 weeks after', { store: 1, dept: 3, targetWeek: '2012-04-27' }],
    [400, 'INVALID_INSTANCE', 'end like 2012-02-03', { store: 1, dept: 3, targetWeek: '2012-02-04' }],
    [400, 'INVALID_INSTANCE', 'but is "2012-02-30"', { store: 1, dept: 3, targetWeek: '2012-02-30' }],
    [
      400,
      'INVALID_INSTANCE',
      '"horizon" exclude each other',
      { store: 1, dept: 3, horizon: 1, targetWeek: '2012-02-03' },
    ],
    [404, 'UNKNOWN_SERIES', 'is not a series', { store: 99, dept: 3, targetWeek: '2012-02-03' }],
    [400, 'INVALID_INSTANCE', 'unknown keys weeks', { store: 1, dept: 3, horizon: 1, weeks: 2 }],
    [400, 'INVALID_INSTANCE', 'must be an object, but is [1,3,1]', [1, 3, 1]],
    [400, 'INVALID_INSTANCE', 'must be an object, but is null', null],
    [400, 'INVALID_INSTANCE', 'must be an object of name', { store: 1, dept: 3, horizon: 1, features: [] }],
    [
      400,
      'INVALID_INSTANCE',
      'but is "7"',
      { store: 1, dept: 3, horizon: 1, features: { ...raw(), lag_1: '7' } },
    ],
    [400, 'MISSING_RAW_FEATURES', 'lag_1, rolling_mean_4', { store: 1, dept: 3, horizon: 1, features: {} }],
  ])('answers %i %s (%s)', async (status, code, words, instance) => {
    const [gotStatus, gotCode, message] = await refusal([instance]);
    expect([gotStatus, gotCode]).toEqual([status, code]);
    expect(message).toContain(words);
  });

  it('takes what clients of the v1 protocol send beside the instances', async () => {
    const instances = [{ store: 1, dept: 3, horizon: 1, features: raw() }];
    const beside = { signature_name: 'serving_default', id: '7', parameters: { a: 1 } };
    const [plain, other] = await Promise.all(
      [{ instances }, { instances, ...beside }].map((body) =>
        post(`${predictor.url}/v1/models/sales-forecast:predict`, JSON.stringify(body)),
      ),
    );
    expect(plain?.status).toBe(200);
    expect(other).toEqual(plain);
  });

  it('refuses a number that JSON cannot hold', async () => {
    const body = JSON.stringify({ instances: [{ store: 1, dept: 3, horizon: 1, features: raw() }] });
    const { status, body: answer } = await post(
      `${predictor.url}/v1/models/sales-forecast:predict`,
      body.replace('"lag_1":1000', '"lag_1":1e999'),
    );
    expect([status, answer.error?.code]).toEqual([400, 'INVALID_INSTANCE']);
  });

  it.each([
    [400, 'EMPTY_INSTANCES', { instances: [] }],
    [400, 'INVALID_REQUEST', { instances: {} }],
    [400, 'INVALID_REQUEST', []],
    [400, 'INVALID_REQUEST', { instances: [{ store: 1, dept: 3, horizon: 1 }], explain: true }],
    [413, 'TOO_MANY_INSTANCES', { instances: new Array(10_001).fill({ store: 1, dept: 3, horizon: 1 }) }],
    [413, 'BODY_TOO_LARGE', `{"instances":[${' '.repeat(16 * 1024 * 1024)}]}`],
    [400, 'INVALID_JSON', '{"instances":[{"store":NaN}]}'],
    [400, 'INVALID_JSON', ''],
  ])('answers %i %s to a whole request', async (status, code, body) => {
    const answer = await post(`${predictor.url}/v1/models/sales-forecast:predict`, body);
    expect([answer.status, answer.body.error?.code]).toEqual([status, code]);
    expect(answer.body.error?.message).toMatch(/\.$/);
  });

  it('reads the rest of a body that is too large, so that a client that is still writing gets the answer', async () => {
    const { hostname, port } = new URL(predictor.url);
    const socket = connect(Number(port), hostname);
    const ended = once(socket, 'end');
    // `ended` is awaited below; until then the loop reports errors of the socket.
    ended.catch(() => undefined);
    let answer = '';
    socket.on('data', (bytes) => {
      answer += bytes.toString();
    });
    const mebibyte = Buffer.alloc(1024 * 1024, ' ');
    socket.write(
      `POST /v1/models/sales-forecast:predict HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: ${24 * mebibyte.length}\r\n\r\n`,
    );
    for (let written = 0; written < 24; written += 1) {
      // Rejects with the socket's error when the server has gone.
      if (!socket.write(mebibyte)) await once(socket, 'drain');
      await sleep(10);
    }
    await ended;
    expect(answer).toMatch(/^HTTP\/1\.1 413 .*BODY_TOO_LARGE/s);
    socket.destroy();
  });

  it.each([
    [404, 'MODEL_NOT_FOUND', '/v1/models/other:predict', {}],
    [404, 'VERSION_NOT_FOUND', '/v1/models/sales-forecast:predict', { 'x-shelfcast-version': '4' }],
    [404, 'NOT_FOUND', '/v1/models/sales-forecast:explain', {}],
    [404, 'NOT_FOUND', '/v2/models/sales-forecast/infer', {}],
    [400, 'INVALID_REQUEST', '/v1/models/sales-forecast:predict?explain=all', {}],
    [415, 'UNSUPPORTED_MEDIA_TYPE', '/v1/models/sales-forecast:predict', { 'content-type': 'text/plain' }],
  ])('answers %i %s for %s', async (status, code, path, headers) => {
    const body = { instances: [{ store: 1, dept: 3, horizon: 1 }] };
    const answer = await post(predictor.url + path, body, headers);
    expect([answer.status, answer.body.error?.code]).toEqual([status, code]);
  });
});

describe('raw features', () => {
  it('names the features that it does not know', async () => {
    const features = { ...raw(), zebra: 1, apple: null };
    const { status, body } = await ask([{ store: 1, dept: 3, horizon: 1, features }]);
    expect([status, body.ignoredFeatures]).toEqual([200, ['apple', 'zebra']]);
    expect(body.predictions?.[0]?.p50).toBe(expectedP50({ store: 1, dept: 3, horizon: 1 }, features));
  });

  it('answers 10,000 instances', async () => {
    const instances = Array.from({ length: 10_000 }, (_, i) => ({
      store: 1,
      dept: 3,
      horizon: 1,
      features: raw({ lag_1: i }),
    }));
    const { status, body } = await ask(instances);
    expect([status, body.predictions?.length]).toEqual([200, 10_000]);
    expect(body.predictions?.at(-1)?.p50).toBe(
      expectedP50({ store: 1, dept: 3, horizon: 1 }, raw({ lag_1: 9_999 })),
    );
  });
});

describe('status', () => {
  const get = async (path: string, headers: Record<string, string> = {}): Promise<[number, unknown]> => {
    const response = await fetch(predictor.url + path, { headers });
    return [response.status, await response.json()];
  };

  it('answers status requests and refuses those for another model', async () => {
    expect(await get('/v1/models')).toEqual([200, { models: ['sales-forecast'] }]);
    expect(await get('/v1/models/sales-forecast')).toEqual([200, { name: 'sales-forecast', ready: true }]);
    expect((await get('/v1/models/other'))[0]).toBe(404);
    expect(await get('/healthz')).toEqual([200, { live: true }]);
    expect(await get('/readyz')).toEqual([
      200,
      { ready: true, modelName: 'sales-forecast', modelVersion: '3' },
    ]);
  });

  it('refuses requests for another version', async () => {
    const path = '/v1/models/sales-forecast';
    expect((await get(path, { 'x-shelfcast-version': '3' }))[0]).toBe(200);
    expect(await get(path, { 'x-shelfcast-version': '4' })).toEqual([
      404,
      {
        error: {
          code: 'VERSION_NOT_FOUND',
          message:
            'The header x-shelfcast-version asks for version 4 of "sales-forecast", which is not served; this is version 3.',
        },
      },
    ]);
  });

  it('counts requests by status and code, instances, and times', async () => {
    const metric = async (line: RegExp): Promise<number> => {
      const text = await (await fetch(`${predictor.url}/metrics`)).text();
      return Number(line.exec(text)?.[1] ?? 0);
    };
    const answered = /^shelfcast_predictor_requests_total\{status="200",code="OK",.*\} (\d+)$/m;
    const unknown = /^shelfcast_predictor_requests_total\{status="404",code="UNKNOWN_SERIES",.*\} (\d+)$/m;
    const instances = /^shelfcast_predictor_instances_total\{.*\} (\d+)$/m;
    const before = {
      answered: await metric(answered),
      unknown: await metric(unknown),
      instances: await metric(instances),
    };
    await ask([
      { store: 1, dept: 3, horizon: 1 },
      { store: 1, dept: 4, horizon: 1 },
    ]);
    await ask([{ store: 77, dept: 3, horizon: 1 }]);
    await eventually('the counters', async () =>
      (await metric(unknown)) > before.unknown ? true : undefined,
    );
    expect(await metric(answered)).toBe(before.answered + 1);
    expect(await metric(instances)).toBe(before.instances + 2);
    for (const part of ['request', 'feature_read', 'inference']) {
      expect(
        await metric(new RegExp(`^shelfcast_predictor_${part}_seconds_count\\{.*\\} (\\d+)$`, 'm')),
      ).toBeGreaterThan(0);
    }
  });

  it('answers the examples of docs/predictor.md as written there', async () => {
    const page = await readFile(join(PROJECT_DIR, 'docs/predictor.md'), 'utf8');
    const examples = [...page.matchAll(/```sh\n(curl [^`]+)```\n+```json\n([^`]+)```/g)];
    expect(examples.length).toBeGreaterThanOrEqual(3);
    for (const [, command = '', expected = ''] of examples) {
      const { stdout } = await promisify(execFile)('bash', ['-c', command], {
        env: { ...process.env, URL: predictor.url },
      });
      expect(JSON.parse(stdout), command).toEqual(JSON.parse(expected));
    }
  });
});

describe('when something is wrong', () => {
  it('without a database is not ready and answers only raw features; with it becomes ready again', async () => {
    await database.stop();
    await eventually('not ready', async () =>
      (await fetch(`${predictor.url}/readyz`)).status === 503 ? true : undefined,
    );
    const { status, body } = await ask([{ store: 1, dept: 3, horizon: 1 }]);
    expect([status, body.error?.code]).toEqual([503, 'FEATURES_UNAVAILABLE']);
    expect((await fetch(`${predictor.url}/v1/models/sales-forecast`)).status).toBe(503);
    expect((await ask([{ store: 1, dept: 3, horizon: 1, features: raw() }])).status).toBe(200);
    await database.start();
    await answering(predictor, '/readyz');
    expect((await ask([{ store: 1, dept: 3, horizon: 1 }])).status).toBe(200);
  }, 40_000);

  it('refuses a series of which sales_history has no value', async () => {
    const table = 'feast_online.shelfcast_golden_sales_history';
    await database.run(`create table saved as select * from ${table}`);
    await database.run(
      `do $$ declare c text; begin
         for c in select column_name from information_schema.columns
           where table_schema = 'feast_online' and table_name = 'shelfcast_golden_sales_history'
             and column_name not in ('store', 'dept', 'event_ts') and is_nullable = 'YES'
         loop execute format('update ${table} set %I = null where store = 1 and dept = 3', c); end loop; end $$`,
    );
    expect(await refusal([{ store: 1, dept: 3, horizon: 1 }])).toMatchObject([
      409,
      'MISSING_FEATURES',
      expect.stringContaining('store 1, dept 3: the view sales_history has no value in any column'),
    ]);
    expect((await ask([{ store: 1, dept: 4, horizon: 1 }])).status).toBe(200);
    await database.run(`delete from ${table}; insert into ${table} select * from saved; drop table saved`);
    expect((await ask([{ store: 1, dept: 3, horizon: 1 }])).status).toBe(200);
  });

  it('reports that no features were materialized', async () => {
    await database.run('delete from ops.feature_watermark');
    expect(await refusal([{ store: 1, dept: 3, horizon: 1 }])).toEqual([
      503,
      'FEATURES_UNAVAILABLE',
      'No features were materialized for the Feast project shelfcast_golden; run the pipeline.',
    ]);
    await database.run(
      "insert into ops.feature_watermark values ('shelfcast_golden', '2012-01-27', 'golden-1-000000000000')",
    );
  });

  it('names a column that the online table lacks, and one with text', async () => {
    const table = 'feast_online.shelfcast_golden_sales_history';
    const asked = { store: 1, dept: 3, horizon: 1 };
    await database.run(`alter table ${table} rename rolling_mean_4 to other`);
    expect(await refusal([asked])).toEqual([
      409,
      'MISSING_FEATURES',
      'feast_online."shelfcast_golden_sales_history" has no column "rolling_mean_4", which the model needs; run the pipeline to materialize it.',
    ]);
    await database.run(`alter table ${table} rename other to rolling_mean_4`);
    await database.run(`alter table ${table} alter lag_1 type text`);
    expect(await refusal([asked])).toEqual([
      500,
      'UNREADABLE_FEATURE',
      'The value of "lag_1" in feast_online."shelfcast_golden_sales_history" cannot be used: it is a text, and a model takes numbers.',
    ]);
    await database.run(
      `alter table ${table} alter lag_1 type double precision using lag_1::double precision`,
    );
    expect((await ask([asked])).status).toBe(200);
  });

  it('reports a damaged model and does not start', async () => {
    const broken = join(folder, 'models', '2');
    const bytes = await readFile(join(broken, 'model.onnx'));
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    await writeFile(join(broken, 'model.onnx'), bytes);
    const port = await freePort();
    const main = startMain('main', port, {
      ...environment,
      PORT: String(port),
      MODEL_URI: pathToFileURL(broken).href,
    });
    expect(await main.ended).toBe(1);
    expect(main.output()).toMatch(/cannot start: .*model\.onnx is damaged .*SHA-256 is [0-9a-f]{64}/);
  });

  it.each([
    ['DATABASE_URL is not set', { DATABASE_URL: '' }],
    ['only file:// folders', { MODEL_URI: 's3://bucket/model' }],
    ['Cannot read', { MODEL_URI: 'file:///nowhere/at/all' }],
    ['is not the model that was registered', { MODEL_SHA256: '0'.repeat(64) }],
    ['PORT is "x"', { PORT: 'x' }],
  ])('does not start and prints: %s', async (words, change) => {
    const port = await freePort();
    const main = startMain('main', port, { ...environment, PORT: String(port), ...change });
    expect(await main.ended).toBe(1);
    expect(main.output()).toContain(words);
  });

  it('ends on SIGTERM: not ready first, then closed, and the request in flight is still answered', async () => {
    const port = await freePort();
    const main = startMain('main', port, { ...environment, PORT: String(port), DRAIN_MS: '1500' });
    await answering(main, '/readyz');
    const body = JSON.stringify({ instances: [{ store: 1, dept: 3, horizon: 1 }] });
    const inFlight = request(`${main.url}/v1/models/sales-forecast:predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': body.length },
    });
    inFlight.write(body.slice(0, 10));
    main.child.kill('SIGTERM');
    const status = (): Promise<number> =>
      fetch(`${main.url}/readyz`).then(
        (response) => response.status,
        () => 0,
      );
    await eventually('not ready', async () => ((await status()) === 503 ? true : undefined));
    await eventually('the port closed', async () => ((await status()) === 0 ? true : undefined));
    inFlight.end(body.slice(10));
    const [answer] = (await once(inFlight, 'response')) as [IncomingMessage];
    expect(answer.statusCode).toBe(200);
    answer.resume();
    expect(await main.ended).toBe(0);
  }, 30_000);
});

it('knows the features of the fixture', () => {
  expect(Object.keys(raw())).toEqual([...FEATURES]);
});
