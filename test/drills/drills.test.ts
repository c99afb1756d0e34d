/**
 * The life of a shop's forecasts on one platform: a pipeline on its files, the same with everything killed on the way, and new
 * weeks that stream in without a training.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { PipelineInput, PipelineResult } from '../../contracts/pipeline.ts';
import type { Prediction } from '../../contracts/predict.ts';
import type { UpdateResult } from '../../contracts/update.ts';
import { PROJECT_DIR } from '../platform.ts';
import type { Death } from './deaths.ts';
import { DEATHS } from './deaths.ts';
import type { Lab } from './pipeline-lab.ts';
import { expectNothingTwice, openLab } from './pipeline-lab.ts';
import type { Run } from './pipelines.ts';
import { MODEL, SMALL, WEEKS } from './pipelines.ts';
import { SERIES, Shop, weeksLater } from './shop.ts';

const DATASET = 'shop';
const PIPELINE_MS = 300_000;

let lab: Lab;
let shop: Shop;
/** The run of the model that is in use. */
let champion: PipelineResult;

beforeAll(async () => {
  lab = await openLab('drills');
  shop = await Shop.open(lab);
}, 240_000);
afterEach(() => lab.endRuns());
afterAll(() => lab.close());

const startOnHistory = (name: string, input: PipelineInput = {}) =>
  lab.start(name, { source: { kind: 'long', path: shop.history }, dataset: DATASET, ...input });
const shelfcast = (...args: string[]) =>
  execa('node', [join(PROJECT_DIR, 'cli', 'shelfcast.mjs'), ...args], {
    env: { SHELFCAST_HOME: lab.platform.state.dir },
    reject: false,
  });
const predict = (instances: object[]) =>
  fetch(`${lab.platform.endpoints.predictor}/v1/models/${MODEL}:predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ instances }),
  });
async function nextForecast(): Promise<Prediction> {
  const response = await predict([{ store: 1, dept: 1, horizon: 1 }]);
  const { predictions } = (await response.json()) as { predictions: Prediction[] };
  const [first] = predictions;
  if (first === undefined) throw new Error('no forecast');
  return first;
}

describe('a pipeline', { timeout: PIPELINE_MS }, () => {
  /** The undisturbed run, which all later ones on the same data must agree with to the byte. */
  let undisturbed: PipelineResult;

  test('must come before new weeks: one sentence says so', async () => {
    const file = shop.write('early.csv', shop.week(0));
    const early = await shelfcast('ingest', file);
    expect(early.exitCode).toBe(2);
    expect(early.stderr).toContain('train a model first with `npx shelfcast run`');
    const train = await shelfcast('ingest', file, '--train');
    expect(train.exitCode).toBe(2);
    expect(train.stderr).toContain('--dataset');
  });

  test('goes from files of sales to forecasts of weeks that have not happened', async () => {
    const run = await startOnHistory('plain');
    undisturbed = champion = await run.result();
    const { ingest, evaluate, gate, rollout, monitor, registered } = undisturbed;

    expect(ingest).toMatchObject({ insertedRows: SERIES * WEEKS, badRows: 0 });
    expect(ingest.snapshot).toMatchObject({
      rowCount: SERIES * WEEKS,
      seriesCount: SERIES,
      lastWeek: shop.lastWeek,
    });
    expect(gate.verdict).toBe('pass');
    const { candidate, naive, seasonal_naive } = evaluate.overall;
    expect(new Set([candidate?.rows, naive?.rows, seasonal_naive?.rows]).size).toBe(1);
    expect(rollout).toMatchObject({ path: 'first-model', previousVersion: null, steps: [] });
    expect(undisturbed.reason).toContain(`of ${SERIES} forecasts, read online, equal the training data`);
    expect(monitor).toMatchObject({ forecastsRecorded: SERIES * SMALL.horizonWeeks });
    await expectNothingTwice(lab, run, undisturbed);
    expect(await lab.alias('champion')).toBe(registered.version);
    expect(await lab.alias('candidate')).toBeNull();

    const sample = monitor?.samples[0];
    if (sample === undefined) throw new Error('no sample forecast');
    expect(sample.targetWeek).toBe(weeksLater(shop.lastWeek, 1));
    const answer = await predict([{ store: sample.store, dept: sample.dept, horizon: 1 }]);
    const { predictions, modelVersion } = (await answer.json()) as {
      predictions: Prediction[];
      modelVersion: string;
    };
    // A graph adds up one row and many in another order: the last bit of 32 may differ.
    expect(predictions[0]).toMatchObject({
      p50: expect.closeTo(sample.p50, 2) as number,
      origin: shop.lastWeek,
      targetWeek: sample.targetWeek,
    });
    expect(modelVersion).toBe(String(registered.version));
    expect((await predict([{ store: 999, dept: 1, horizon: 1 }])).status).toBe(404);
  });

  async function expectSurvival(name: string, deaths: Death[]): Promise<void> {
    // Many requests a step, so that a kill falls into one.
    const run = await startOnHistory(name, { rollout: { minRequestsPerStep: 400 } });
    for (const { kill } of deaths) await kill(lab, run);
    // Asked anew: a question from before Temporal's death has no answer.
    const result = await lab.shelfcast.pipelineRun(run.handle.workflowId).result();
    // The same data give the same model, whatever happened on the way.
    expect(result.ingest).toMatchObject({ insertedRows: 0, badRows: 0 });
    expect(result.ingest.snapshot.contentHash).toBe(undisturbed.ingest.snapshot.contentHash);
    expect(result.train.modelHash).toBe(undisturbed.train.modelHash);
    expect(result.evaluate.overall.candidate).toEqual(undisturbed.evaluate.overall.candidate);
    expect(result.verdict).toBe('promoted');
    const [first, ...resumed] = result.train.startedFromEpochs;
    expect(first).toBe(0);
    const lowest = deaths.flatMap(({ resumesFrom }) => resumesFrom ?? []);
    expect(resumed).toHaveLength(lowest.length);
    for (const [i, epoch] of lowest.entries()) expect(resumed[i]).toBeGreaterThanOrEqual(epoch);
    expect(result.train.epochs.map(({ epoch }) => epoch)).toEqual(
      undisturbed.train.epochs.map(({ epoch }) => epoch),
    );
    for (const { check } of deaths) check?.(result);
    await expectNothingTwice(lab, run, result);
    const earlier = (
      await lab.query<{ version: number }>(
        "select version from ops.rollout_audit where action = 'promoted' order by recorded_at desc limit 2",
      )
    ).map(({ version }) => version);
    expect(await Promise.all([lab.alias('champion'), lab.alias('previous')])).toEqual(earlier);
    expect(earlier[0]).toBe(result.registered.version);
    champion = result;
  }

  test(`survives the death of ${DEATHS.map(({ name }) => name).join(', ')}, all in one run`, () =>
    expectSurvival('all-killed', DEATHS));

  // One at a time, to find the cause when the test above fails: SHELFCAST_TEST_EACH_DEATH=1 npm test -- test/drills/drills
  test.runIf(process.env['SHELFCAST_TEST_EACH_DEATH'] !== undefined).each(DEATHS)(
    'survives the death of $name alone',
    (death) => expectSurvival(death.name.toLowerCase().replace(/[^a-z]+/g, '-'), [death]),
  );

  test('cancelled in train, leaves no process and no open run behind', async () => {
    const run = await startOnHistory('cancelled');
    await run.whenJobSays('train', (line) => line.epoch !== undefined);
    await run.handle.cancel();
    await expect(run.result()).rejects.toMatchObject({ type: 'Cancelled' });
    expect(lab.trainingRanks()).toEqual([]);
    const jobs = (await lab.rayJobs()).filter((job) => job.submission_id.startsWith(run.key()));
    expect(jobs.filter(({ status }) => status === 'RUNNING' || status === 'PENDING')).toEqual([]);
    expect((await lab.mlflowRuns(run.key())).map(({ status }) => status)).toEqual(['KILLED']);
    expect(await lab.shelfcast.currentRun()).toBeNull();
  });

  test('rejects a folder with too many bad rows, names them, and loads nothing', async () => {
    const run = await lab.start('bad-data', { source: { kind: 'walmart-csv', path: shop.writeBad() } });
    const failure: unknown = await run.result().catch((error: unknown) => error);
    expect(failure).toMatchObject({ type: 'BadData' });
    expect((failure as Error).message).toMatch(/train\.csv:\d+/);
    const report = join(lab.platform.state.artifactsDir, 'runs', run.key(), 'ingest', 'bad-rows.csv');
    expect(existsSync(report)).toBe(true);
    expect(readFileSync(report, 'utf8')).toContain('train.csv');
    expect(await lab.query("select 1 from raw.sales where dataset = 'bad'")).toEqual([]);
    expect(await lab.query("select 1 from raw.batch where dataset = 'bad'")).toEqual([]);
  });
});

describe('new weeks', { timeout: PIPELINE_MS }, () => {
  const next = () => weeksLater(shop.lastWeek, 1);
  const newest = () => weeksLater(shop.lastWeek, 2);
  /** File of the newest week. */
  let file: string;
  /** Versions that have forecast from the last week of the history. */
  let versions: number;

  beforeAll(async () => {
    const rows = await lab.query('select distinct model_version from ops.forecast where origin = $1', [
      shop.lastWeek,
    ]);
    versions = rows.length;
    expect(versions).toBeGreaterThan(0);
  });

  /** Whatever was killed on the way: one batch, and each forecast of the origin once. */
  async function expectOnce(run: Run<UpdateResult>, result: UpdateResult): Promise<void> {
    const batches = await lab.query('select 1 from raw.batch where request_id = $1', [run.key()]);
    expect(batches).toHaveLength(1);
    const [forecasts] = await lab.query<{ n: number }>(
      'select count(*)::int as n from ops.forecast where model_version = $1 and origin = $2',
      [champion.registered.version, result.ingest.snapshot.lastWeek],
    );
    expect(forecasts?.n).toBe(result.monitor.forecastsRecorded);
    expect(await lab.alias('champion')).toBe(champion.registered.version);
  }

  test('bring the next forecasts, though the worker is killed, and tell how the earlier ones did', async () => {
    const run = await lab.startUpdate('week-1', {
      source: { kind: 'long', path: shop.write('week-1.csv', shop.week(1)) },
    });
    await run.whenJobSays('features', () => true);
    await lab.platform.kill('worker');
    const result = await run.result();
    expect(result).toMatchObject({
      dataset: DATASET,
      ingest: { insertedRows: SERIES, unchangedRows: 0, snapshot: { lastWeek: next() } },
      // Only the new origin, not the history.
      features: { windowStart: next(), windowEnd: next() },
      monitor: {
        modelVersion: champion.registered.version,
        forecastsRecorded: SERIES * SMALL.horizonWeeks,
        actualsCompared: versions * SERIES,
      },
    });
    expect(result.monitor.wape).toBeGreaterThan(0);
    expect(result.monitor.wape).toBeLessThan(0.5);
    expect(Object.keys(result.stageSeconds)).toEqual(['ingest', 'features', 'monitor']);
    await expectOnce(run, result);
    const [first] = await lab.query<{ p50: number }>(
      'select p50 from ops.forecast where origin = $1 and store = 1 and dept = 1 and horizon = 1',
      [next()],
    );
    // A graph adds up one row and many in another order: the last bit of 32 may differ.
    expect(await nextForecast()).toMatchObject({
      origin: next(),
      p50: expect.closeTo(first?.p50 ?? NaN, 2) as number,
    });
  });

  test('come with a late correction, by the command line', async () => {
    const corrected = weeksLater(shop.lastWeek, -5);
    const late = shop.week(-5).map((row, i) => (i === 0 ? { ...row, sales: row.sales + 1 } : row));
    file = shop.write('week-2.csv', [...late, ...shop.week(2)]);
    const ingest = await shelfcast('ingest', file, '--dataset', DATASET);
    expect(ingest.stderr).toContain(`data set ${DATASET} of version ${champion.registered.version}`);
    expect(ingest.exitCode).toBe(0);
    expect(ingest.stdout).toContain(
      `${SERIES + 1} rows of sales are new or changed, ${SERIES - 1} were known already`,
    );
    // Two weeks ahead from the history, by each version, and one week ahead from the week before.
    expect(ingest.stdout).toContain(`${(versions + 1) * SERIES} earlier forecasts of the new weeks: WAPE `);
    expect(ingest.stdout).toContain(weeksLater(newest(), 1));
    expect(ingest.stderr).toContain(`(${corrected} to ${newest()})`);
    expect(await nextForecast()).toMatchObject({ origin: newest() });
  });

  test('that are known already bring no new sales, and no failure', async () => {
    const before = await nextForecast();
    const again = await shelfcast('ingest', file);
    expect(again.exitCode).toBe(0);
    expect(again.stdout).toContain(`no new sales: all ${2 * SERIES} rows were known already`);
    expect(await nextForecast()).toEqual(before);
  });

  test('of another data set, or for a model of other features, are refused', async () => {
    const other = await shelfcast('ingest', file, '--dataset', 'other');
    expect(other.exitCode).toBe(2);
    expect(other.stderr).toContain(`was trained on the data set ${DATASET}, not on other`);

    const manifest = join(fileURLToPath(champion.registered.modelUri), 'model.json');
    const text = readFileSync(manifest, 'utf8');
    const watermark = 'select * from ops.feature_watermark';
    const before = await lab.query(watermark);
    writeFileSync(manifest, text.replace(champion.features.featureSetVersion, 'of-last-year'));
    const outdated = await shelfcast('ingest', file);
    writeFileSync(manifest, text);
    expect(outdated.exitCode).toBe(2);
    expect(outdated.stderr).toMatch(/trained with version of-last-year of the features.*run the pipeline/);
    expect(await lab.query(watermark)).toEqual(before);
  });

  test('start the whole pipeline on the same data set when a training is asked for', async () => {
    const train = shelfcast('ingest', file, '--train', '--allow', 'mean-sales-change');
    const run = await vi.waitFor(
      async () => {
        const found = await lab.shelfcast.currentRun(MODEL);
        if (found === null || (await found.progress()).stage === null) throw new Error('no run yet');
        return found;
      },
      { timeout: 60_000 },
    );
    expect((await run.describe()).input).toEqual({
      dataset: DATASET,
      source: { kind: 'long', path: file },
      allow: ['mean-sales-change'],
    });
    await run.abort('enough seen');
    expect(await train).toMatchObject({ exitCode: 1 });
  });

  test('are taken in by a schedule', async () => {
    const made = await shelfcast('schedule', 'create', '--update', '--data', shop.history);
    expect(JSON.parse(made.stdout)).toMatchObject({ runs: 'updateForecasts' });
    const changed = await shelfcast('schedule', 'create', '--data', shop.history);
    expect(JSON.parse(changed.stdout)).toMatchObject({ runs: 'forecastPipeline' });
    expect((await shelfcast('schedule', 'delete')).exitCode).toBe(0);
  });
});
