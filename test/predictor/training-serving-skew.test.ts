/** A predictor on features of the real features job must read what is in that job's training data. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ApplicationFailure } from '@temporalio/common';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkTrainingServingSkew } from '../../activities/training-serving-skew.ts';
import type { SkewSample } from '../../contracts/jobs.ts';
import { skewSampleSchema } from '../../contracts/jobs.ts';
import { featuresLock } from '../../contracts/names.ts';
import { freePort } from '../../infra/local/ports.ts';
import type { FeatureDatabase, RunningMain } from './processes.ts';
import { answering, removeFolder, scratchFolder, startFeatureDatabase, startMain } from './processes.ts';
import { modelHash, writeFeatures } from './python.ts';

const SERIES = 36;
const HORIZON = 3;
const TABLE = 'feast_online.shelfcast_small_sales_history';

let folder: string;
let database: FeatureDatabase;
let pool: pg.Pool;
let predictor: RunningMain;

beforeAll(async () => {
  folder = await scratchFolder();
  database = await startFeatureDatabase(folder);
  pool = new pg.Pool({ connectionString: database.url });
  // The end of PostgreSQL reaches its connections before their own does.
  pool.on('error', () => undefined);
  await mkdir(join(folder, 'made'));
  await writeFeatures(database.url, join(folder, 'made'));
  const port = await freePort();
  const modelFolder = join(folder, 'made', 'model');
  predictor = startMain('main', port, {
    MODEL_NAME: 'sales-forecast',
    MODEL_VERSION: '3',
    MODEL_URI: pathToFileURL(modelFolder).href,
    MODEL_SHA256: await modelHash(modelFolder),
    DATABASE_URL: database.url,
    DRAIN_MS: '0',
    PORT: String(port),
  });
  await answering(predictor, '/readyz');
}, 120_000);

afterAll(async () => {
  await predictor.stop();
  await pool.end();
  await database.stop();
  await removeFolder(folder);
}, 30_000);

const uri = (name: string): string => pathToFileURL(join(folder, 'made', name)).href;

function check(skewSampleUri: string): Promise<string> {
  const candidate = {
    modelName: 'sales-forecast',
    version: 3,
    runId: 'r',
    modelUri: uri('model'),
    modelHash: '',
    dataset: 'small',
  };
  const dependencies = { database: pool, serving: { url: predictor.url } };
  return checkTrainingServingSkew(dependencies, { candidate, skewSampleUri }, new AbortController().signal);
}

const read = async (name: string): Promise<SkewSample> =>
  skewSampleSchema.parse(JSON.parse(await readFile(join(folder, 'made', name), 'utf8')));

/** Changes online rows for as long as `work` takes. */
async function whileOnline(change: string, work: () => Promise<void>): Promise<void> {
  await database.run(`create table ops.kept as table ${TABLE}; update ${TABLE} set ${change}`);
  await work().finally(() =>
    database.run(`delete from ${TABLE}; insert into ${TABLE} table ops.kept; drop table ops.kept`),
  );
}

it('reads every feature of every series and horizon as in the training data', async () => {
  const { sample } = await read('all.json');
  const asked = sample.map(({ store, dept, horizon }) => `${store}/${dept}/${horizon}`);
  expect(new Set(asked).size).toBe(SERIES * HORIZON);
  const values = sample.flatMap(({ features }) => Object.values(features));
  expect(values.filter((value) => value === null).length).toBeGreaterThan(100);
  expect(values.filter((value) => value !== null && !Number.isInteger(value)).length).toBeGreaterThan(1_000);
  expect(await check(uri('all.json'))).toBe(
    `${values.length} features of ${asked.length} forecasts, read online, equal the training data`,
  );
});

it('reads what the features job sampled', async () => {
  expect((await read('features/skew-sample.json')).sample).toHaveLength(SERIES);
  expect(await check(uri('features/skew-sample.json'))).toContain(`of ${SERIES} forecasts`);
});

it.each([
  [
    'a last bit',
    'rolling_mean_13 = rolling_mean_13 * (1 + 2.3e-16)',
    /rolling_mean_13 is [\d.]+ online, [\d.]+ in/,
  ],
  ['a value that is unknown', 'lag_1 = null', /lag_1 is unknown online, [\d.]+ in/],
  ['a value that was unknown', 'last_year_before_h1 = 0', /last_year_before is 0 online, unknown in/],
])('reports %s', async (_name, change, words) => {
  await whileOnline(change, async () => {
    const failure = await check(uri('all.json')).catch((error: unknown) => error as ApplicationFailure);
    expect(failure).toMatchObject({ type: 'CandidateFailed', nonRetryable: true });
    const { message } = failure as ApplicationFailure;
    expect(message).toMatch(/^version 3 reads other features online .* differ, such as store \d+, dept/);
    expect(message).toMatch(words);
  });
});

it('reports rows of another week and missing rows', async () => {
  await whileOnline("event_ts = event_ts - interval '1 week'", async () => {
    await expect(check(uri('all.json'))).rejects.toThrow(
      /store \d+, dept \d+, week .*: the answer is for week/,
    );
  });
  await whileOnline('store = store + 1000', async () => {
    await expect(check(uri('all.json'))).rejects.toThrow(
      /sampled forecasts: the answer was 404 .*UNKNOWN_SERIES/,
    );
  });
});

it('compares nothing without samples, and reports the reason', async () => {
  const nothing = 'its online features were not compared: ';
  const { snapshotId, ...rest } = await read('all.json');
  await writeFile(join(folder, 'made', 'older.json'), JSON.stringify({ ...rest, snapshotId: 'small-0-0' }));
  expect(await check(uri('older.json'))).toBe(
    `${nothing}they belong to snapshot ${snapshotId}, not to small-0-0`,
  );

  // As a features job does, for as long as it runs.
  const job = await pool.connect();
  await job.query('begin');
  await job.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [featuresLock('shelfcast_small')]);
  expect(await check(uri('all.json'))).toBe(`${nothing}another run is building features`);
  await job.query('commit');
  job.release();
  expect(await check(uri('all.json'))).toContain('equal the training data');
});

it('fails on a sample that it cannot read', async () => {
  await writeFile(join(folder, 'made', 'torn.json'), '{"sample": [');
  await expect(check(uri('torn.json'))).rejects.toThrow(/cannot read .*torn\.json/);
});
