/** Real pipelines, from generated sales to forecasts, each with something killed on the way. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { PipelineResult } from '../../contracts/pipeline.ts';
import type { Lab } from './pipeline-lab.ts';
import { expectNothingTwice, openLab } from './pipeline-lab.ts';
import type { Run } from './pipelines.ts';
import { DEPARTMENTS, MODEL, SMALL, STORES, WEEKS } from './pipelines.ts';

const PIPELINE_MS = 300_000;

/** One row in ten has a text where sales should be. */
function writeBadFolder(folder: string): void {
  mkdirSync(folder);
  const weeks = Array.from({ length: 20 }, (_, i) =>
    new Date(Date.UTC(2024, 0, 5 + 7 * i)).toISOString().slice(0, 10),
  );
  const sales = weeks.map((week, i) => `1,1,${week},${i % 10 === 0 ? 'many' : 100 + i},FALSE`);
  const features = weeks.map((week) => `1,${week},50,3,NA,NA,NA,NA,NA,200,7,FALSE`);
  const write = (name: string, header: string, lines: string[]) => {
    writeFileSync(join(folder, name), [header, ...lines, ''].join('\n'));
  };
  write('train.csv', 'Store,Dept,Date,Weekly_Sales,IsHoliday', sales);
  write(
    'features.csv',
    'Store,Date,Temperature,Fuel_Price,MarkDown1,MarkDown2,MarkDown3,MarkDown4,MarkDown5,CPI,Unemployment,IsHoliday',
    features,
  );
  write('stores.csv', 'Store,Type,Size', ['1,A,100000']);
}

describe('a pipeline', { timeout: PIPELINE_MS }, () => {
  let lab: Lab;
  /** The undisturbed run, which all later ones on the same data must agree with to the byte. */
  let undisturbed: PipelineResult;

  beforeAll(async () => {
    lab = await openLab('drills');
  }, 240_000);
  afterEach(() => lab.endRuns());
  afterAll(() => lab.close());

  const ask = (instances: object[]) =>
    fetch(`${lab.platform.endpoints.predictor}/v1/models/${MODEL}:predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ instances }),
    });

  test('goes from generated sales to forecasts of weeks that have not happened', async () => {
    const run = await lab.start('plain');
    undisturbed = await run.result();
    const { ingest, evaluate, gate, rollout, monitor, registered } = undisturbed;

    expect(ingest).toMatchObject({ insertedRows: STORES * DEPARTMENTS * WEEKS, badRows: 0 });
    expect(ingest.snapshot).toMatchObject({
      rowCount: STORES * DEPARTMENTS * WEEKS,
      seriesCount: STORES * DEPARTMENTS,
    });
    expect(gate.verdict).toBe('pass');
    const { candidate, naive, seasonal_naive, oracle } = evaluate.overall;
    const rows = new Set([candidate?.rows, naive?.rows, seasonal_naive?.rows, oracle?.rows]);
    expect(rows.size).toBe(1);
    expect(oracle?.wmae).toBeLessThan(candidate?.wmae ?? 0);
    expect(rollout).toMatchObject({ path: 'first-model', previousVersion: null, steps: [] });
    expect(monitor).toMatchObject({ forecastsRecorded: STORES * DEPARTMENTS * SMALL.horizonWeeks });
    await expectNothingTwice(lab, run, undisturbed);
    expect(await lab.alias('champion')).toBe(registered.version);
    expect(await lab.alias('candidate')).toBeNull();

    const sample = monitor?.samples[0];
    if (sample === undefined) throw new Error('no sample forecast');
    expect(Date.parse(sample.targetWeek) - Date.parse(ingest.snapshot.lastWeek)).toBe(7 * 86_400_000);
    const answer = await ask([{ store: sample.store, dept: sample.dept, horizon: 1 }]);
    const { predictions, modelVersion } = (await answer.json()) as {
      predictions: { p50: number; targetWeek: string }[];
      modelVersion: string;
    };
    // A graph adds up one row and many in another order: the last bit of 32 may differ.
    expect(predictions[0]).toMatchObject({
      p50: expect.closeTo(sample.p50, 2) as number,
      targetWeek: sample.targetWeek,
    });
    expect(modelVersion).toBe(String(registered.version));
    expect((await ask([{ store: 999, dept: 1, horizon: 1 }])).status).toBe(404);
  });

  /** The same data give the same model, whatever happened on the way. */
  function expectSameModel(result: PipelineResult): void {
    expect(result.ingest).toMatchObject({ insertedRows: 0, badRows: 0 });
    expect(result.ingest.snapshot.contentHash).toBe(undisturbed.ingest.snapshot.contentHash);
    expect(result.train.modelHash).toBe(undisturbed.train.modelHash);
    expect(result.evaluate.overall.candidate).toEqual(undisturbed.evaluate.overall.candidate);
    expect(result.verdict).toBe('promoted');
  }

  /** One death for each service, in the stage that needs it most; each step kills, and may return a look at the result. */
  const deaths: Record<string, (run: Run) => Promise<((result: PipelineResult) => void) | undefined>> = {
    'PostgreSQL in features': async (run) => {
      await run.whenJobSays('features', () => true);
      await lab.platform.kill('postgres');
      return undefined;
    },
    'the worker in train': async (run) => {
      await run.whenJobSays('train', (line) => line.epoch !== undefined);
      await lab.platform.kill('worker');
      // The training belongs to Ray, not to the worker: it was never started again.
      return ({ train }) => {
        expect(train.startedFromEpochs).toEqual([0]);
      };
    },
    'Temporal in evaluate': async (run) => {
      await run.whenStage('evaluate');
      await lab.platform.kill('temporal');
      await lab.platform.waitUntilUp();
      return undefined;
    },
    "the candidate's predictor under canary": async (run) => {
      await run.whenStage('rollout');
      const program = `predictor-${MODEL}-${await versionOf(run.key())}`;
      await run.whenSummary('rollout', /has 10 % of the traffic/);
      await lab.platform.kill(program);
      return ({ registered, rollout }) => {
        const steps = rollout?.steps ?? [];
        expect(steps.some((step) => (step.unreachable[registered.version] ?? 0) > 0)).toBe(true);
        expect(steps.length).toBeGreaterThan(3);
      };
    },
  };

  async function expectSurvival(name: string, ...kills: (typeof deaths)[string][]): Promise<void> {
    // Many requests a step, so that a kill falls into one.
    const run = await lab.start(name, { rollout: { minRequestsPerStep: 400 } });
    const looks = [];
    for (const kill of kills) looks.push(await kill(run));
    // Asked anew: a question from before Temporal's death has no answer.
    const result = await lab.shelfcast.pipelineRun(run.handle.workflowId).result();
    expectSameModel(result);
    for (const look of looks) look?.(result);
    await expectNothingTwice(lab, run, result);
    const earlier = (
      await lab.query<{ version: number }>(
        "select version from ops.rollout_audit where action = 'promoted' order by recorded_at desc limit 2",
      )
    ).map(({ version }) => version);
    expect(await Promise.all([lab.alias('champion'), lab.alias('previous')])).toEqual(earlier);
    expect(earlier[0]).toBe(result.registered.version);
  }

  test(`survives the death of ${Object.keys(deaths).join(', ')}, all in one run`, () =>
    expectSurvival('all-killed', ...Object.values(deaths)));

  // One at a time, to find the cause when the test above fails: SHELFCAST_TEST_EACH_DEATH=1 npm test -- test/drills/drills
  test.runIf(process.env['SHELFCAST_TEST_EACH_DEATH'] !== undefined).each(Object.entries(deaths))(
    'survives the death of %s alone',
    (name, kill) => expectSurvival(name.toLowerCase().replace(/[^a-z]+/g, '-'), kill),
  );

  test('resumes the training from its newest complete checkpoint, after the death of a rank and then of the Ray head', async () => {
    const run = await lab.start('rank-and-ray-killed');
    await run.whenJobSays('train', ({ epoch }) => (epoch?.epoch ?? 0) >= 2);
    const rank = lab.trainingRanks().find((one) => one.rank === '1');
    if (rank === undefined) throw new Error('no rank 1 is running');
    process.kill(rank.pid, 'SIGKILL');
    await run.whenJobSays('train', ({ epoch }) => (epoch?.epoch ?? 0) >= 4);
    await lab.platform.kill('ray');
    const result = await run.result();
    expectSameModel(result);
    const [first, second, third] = result.train.startedFromEpochs;
    expect(first).toBe(0);
    expect(second).toBeGreaterThanOrEqual(2);
    expect(third).toBeGreaterThanOrEqual(4);
    expect(result.train.epochs.map(({ epoch }) => epoch)).toEqual(
      undisturbed.train.epochs.map(({ epoch }) => epoch),
    );
    await expectNothingTwice(lab, run, result);
  });

  const versionOf = (key: string): Promise<number> =>
    vi.waitFor(
      async () => {
        const [mlflowRun] = await lab.mlflowRuns(key);
        const [version] = await lab.versions(mlflowRun?.id ?? '');
        if (version === undefined) throw new Error(`no version of ${key} yet`);
        return version;
      },
      { timeout: 60_000 },
    );

  test('compares forecasts with the week that came', async () => {
    const run = await lab.start('next-week', { source: { ...SMALL.source, weeks: WEEKS + 1 } });
    const result = await run.result();
    expect(result.ingest).toMatchObject({
      insertedRows: STORES * DEPARTMENTS,
      unchangedRows: STORES * DEPARTMENTS * WEEKS,
    });
    // One week ahead from the last origin; every earlier champion has forecast it.
    expect(result.monitor?.actualsCompared).toBeGreaterThanOrEqual(STORES * DEPARTMENTS);
    expect(result.monitor?.wape).toBeGreaterThan(0);
    expect(result.monitor?.wape).toBeLessThan(0.5);
    await expectNothingTwice(lab, run, result);
  });

  test('cancelled in train, leaves no process and no open run behind', async () => {
    const run = await lab.start('cancelled');
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
    const folder = join(lab.platform.state.dir, 'bad');
    writeBadFolder(folder);
    const run = await lab.start('bad-data', { source: { kind: 'walmart-csv', path: folder } });
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
