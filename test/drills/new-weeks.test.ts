/** A real pipeline on somebody's own files, then new weeks and a correction that stream in, without a training. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { PipelineResult } from '../../contracts/pipeline.ts';
import type { UpdateResult } from '../../contracts/update.ts';
import { PROJECT_DIR } from '../platform.ts';
import type { Lab } from './pipeline-lab.ts';
import { openLab } from './pipeline-lab.ts';
import type { Run } from './pipelines.ts';
import { DEPARTMENTS, MODEL, SMALL, STORES, WEEKS } from './pipelines.ts';

const SERIES = STORES * DEPARTMENTS;
const DATASET = 'shop';
const DAY_MS = 86_400_000;

interface Sale {
  store: number;
  dept: number;
  week: string;
  sales: number;
}

const weeksLater = (week: string, weeks: number): string =>
  new Date(Date.parse(week) + 7 * weeks * DAY_MS).toISOString().slice(0, 10);

describe('new weeks', { timeout: 300_000 }, () => {
  let lab: Lab;
  /** Two weeks more than the pipeline is given. */
  let sales: Sale[];
  /** Last week that the pipeline is given. */
  let lastWeek: string;
  let trained: PipelineResult;

  beforeAll(async () => {
    lab = await openLab('new-weeks');
    sales = await generatedSales(lab);
    lastWeek = weeksLater(sales.at(-1)?.week ?? '', -2);
  }, 240_000);
  afterEach(() => lab.endRuns());
  afterAll(() => lab.close());

  const path = (name: string): string => join(lab.platform.state.dir, name);
  const write = (name: string, rows: Sale[]): string => {
    const lines = rows.map((row) => `${row.store},${row.dept},${row.week},${row.sales}`);
    writeFileSync(path(name), ['store,dept,week,sales', ...lines, ''].join('\n'));
    return path(name);
  };
  const ofWeek = (week: string): Sale[] => sales.filter((row) => row.week === week);
  const shelfcast = (...args: string[]) =>
    execa('node', [join(PROJECT_DIR, 'cli', 'shelfcast.mjs'), ...args], {
      env: { SHELFCAST_HOME: lab.platform.state.dir },
      reject: false,
    });
  const ask = async (): Promise<{ origin: string; p50: number }> => {
    const response = await fetch(`${lab.platform.endpoints.predictor}/v1/models/${MODEL}:predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ instances: [{ store: 1, dept: 1, horizon: 1 }] }),
    });
    const { predictions } = (await response.json()) as { predictions: { origin: string; p50: number }[] };
    const [first] = predictions;
    if (first === undefined) throw new Error('no forecast');
    return first;
  };

  test('cannot come before the pipeline: one sentence says so', async () => {
    const early = await shelfcast('ingest', write('early.csv', ofWeek(lastWeek)));
    expect(early.exitCode).toBe(2);
    expect(early.stderr).toContain('train a model first with `npx shelfcast run`');
    const train = await shelfcast('ingest', path('early.csv'), '--train');
    expect(train.exitCode).toBe(2);
    expect(train.stderr).toContain('--dataset');
  });

  test('a model is trained on the weeks before', async () => {
    mkdirSync(path('history'));
    write(
      'history/sales.csv',
      sales.filter(({ week }) => week <= lastWeek),
    );
    const stores = Array.from({ length: STORES }, (_, i) => `${i + 1},A,${100_000 + 1_000 * i}`);
    writeFileSync(path('history/stores.csv'), ['store,type,size', ...stores, ''].join('\n'));
    const source = { kind: 'long', path: path('history') } as const;
    trained = await (await lab.start('history', { source, dataset: DATASET })).result();
    expect(trained.verdict).toBe('promoted');
    expect(trained.reason).toContain(`of ${SERIES} forecasts, read online, equal the training data`);
    expect(await ask()).toMatchObject({ origin: lastWeek });
  });

  /** Whatever was killed on the way: one batch, and each forecast of the origin once. */
  async function expectOnce(run: Run<UpdateResult>, result: UpdateResult): Promise<void> {
    const batches = await lab.query('select 1 from raw.batch where request_id = $1', [run.key()]);
    expect(batches).toHaveLength(1);
    const [forecasts] = await lab.query<{ n: number }>(
      'select count(*)::int as n from ops.forecast where model_version = $1 and origin = $2',
      [trained.registered.version, result.ingest.snapshot.lastWeek],
    );
    expect(forecasts?.n).toBe(result.monitor.forecastsRecorded);
    expect(await lab.alias('champion')).toBe(trained.registered.version);
  }

  test('bring the next forecasts, though the worker is killed, and tell how the earlier ones did', async () => {
    const next = weeksLater(lastWeek, 1);
    const run = await lab.startUpdate('week-1', {
      source: { kind: 'long', path: write('week-1.csv', ofWeek(next)) },
    });
    await run.whenJobSays('features', () => true);
    await lab.platform.kill('worker');
    const result = await run.result();
    expect(result).toMatchObject({
      dataset: DATASET,
      ingest: { insertedRows: SERIES, unchangedRows: 0, snapshot: { lastWeek: next } },
      // Only the new origin, not the history.
      features: { windowStart: next, windowEnd: next },
      monitor: {
        modelVersion: trained.registered.version,
        forecastsRecorded: SERIES * SMALL.horizonWeeks,
        actualsCompared: SERIES,
      },
    });
    expect(result.monitor.wape).toBeGreaterThan(0);
    expect(result.monitor.wape).toBeLessThan(0.5);
    expect(Object.keys(result.stageSeconds)).toEqual(['ingest', 'features', 'monitor']);
    await expectOnce(run, result);
    const [first] = await lab.query<{ p50: number }>(
      'select p50 from ops.forecast where origin = $1 and store = 1 and dept = 1 and horizon = 1',
      [next],
    );
    // A graph adds up one row and many in another order: the last bit of 32 may differ.
    expect(await ask()).toMatchObject({ origin: next, p50: expect.closeTo(first?.p50 ?? NaN, 2) as number });
  });

  test('come with a late correction, by the command line', async () => {
    const corrected = weeksLater(lastWeek, -5);
    const newest = weeksLater(lastWeek, 2);
    const late = ofWeek(corrected).map((row, i) => (i === 0 ? { ...row, sales: row.sales + 1 } : row));
    const file = write('week-2.csv', [...late, ...ofWeek(newest)]);
    const ingest = await shelfcast('ingest', file, '--dataset', DATASET);
    expect(ingest.stderr).toContain(`data set ${DATASET} of version ${trained.registered.version}`);
    expect(ingest.exitCode).toBe(0);
    expect(ingest.stdout).toContain(
      `${SERIES + 1} rows of sales are new or changed, ${SERIES - 1} were known already`,
    );
    // Two weeks ahead from the pipeline's origin, one from the last.
    expect(ingest.stdout).toContain(`${2 * SERIES} earlier forecasts of the new weeks: WAPE `);
    expect(ingest.stdout).toContain(weeksLater(newest, 1));
    expect(ingest.stderr).toContain(`(${corrected} to ${newest})`);
    expect(await ask()).toMatchObject({ origin: newest });
  });

  test('that are known already bring no new sales, and no failure', async () => {
    const before = await ask();
    const again = await shelfcast('ingest', path('week-2.csv'));
    expect(again.exitCode).toBe(0);
    expect(again.stdout).toContain(`no new sales: all ${2 * SERIES} rows were known already`);
    expect(await ask()).toEqual(before);
  });

  test('of another data set, or for a model of other features, are refused', async () => {
    const other = await shelfcast('ingest', path('week-2.csv'), '--dataset', 'other');
    expect(other.exitCode).toBe(2);
    expect(other.stderr).toContain(`was trained on the data set ${DATASET}, not on other`);

    const manifest = join(fileURLToPath(trained.registered.modelUri), 'model.json');
    const text = readFileSync(manifest, 'utf8');
    const watermark = 'select * from ops.feature_watermark';
    const before = await lab.query(watermark);
    writeFileSync(manifest, text.replace(trained.features.featureSetVersion, 'of-last-year'));
    const outdated = await shelfcast('ingest', path('week-2.csv'));
    writeFileSync(manifest, text);
    expect(outdated.exitCode).toBe(2);
    expect(outdated.stderr).toMatch(/trained with version of-last-year of the features.*run the pipeline/);
    expect(await lab.query(watermark)).toEqual(before);
  });

  test('start the whole pipeline on the same data set when a training is asked for', async () => {
    const file = path('week-2.csv');
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
    const made = await shelfcast('schedule', 'create', '--update', '--data', path('history'));
    expect(JSON.parse(made.stdout)).toMatchObject({ runs: 'updateForecasts' });
    const changed = await shelfcast('schedule', 'create', '--data', path('history'));
    expect(JSON.parse(changed.stdout)).toMatchObject({ runs: 'forecastPipeline' });
    expect((await shelfcast('schedule', 'delete')).exitCode).toBe(0);
  });
});

/** The generator's sales, by its own job, a year earlier: weeks that are not over would be refused. */
async function generatedSales(lab: Lab): Promise<Sale[]> {
  const folder = join(lab.platform.state.dir, 'generate');
  mkdirSync(folder);
  const source = { ...SMALL.source, weeks: WEEKS + 2 };
  const spec = { dataset: 'generated', requestId: 'generate', source, maxBadRowShare: 0 };
  writeFileSync(join(folder, 'spec.json'), JSON.stringify(spec));
  await execa(
    join(lab.platform.state.venvDir, 'bin', 'python'),
    ['-m', 'shelfcast.ingest', '--dir', pathToFileURL(folder).href],
    {
      cwd: join(PROJECT_DIR, 'ml'),
      env: { DATABASE_URL: lab.platform.environment['DATABASE_URL'] ?? '' },
    },
  );
  return lab.query<Sale>(
    `select store, dept, (week - 364)::text as week, weekly_sales as sales from raw.sales
     where dataset = 'generated' order by week, store, dept`,
  );
}
