/** Deployment and traffic on a serving platform in memory; parity and canary steps before the real router. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import type { RolloutActivities, RolloutDependencies } from '../../activities/rollout.ts';
import { createRolloutActivities } from '../../activities/rollout.ts';
import type { AnalysisRow } from '../../contracts/jobs.ts';
import type { ModelManifest } from '../../contracts/model.ts';
import { pipelineInputSchema } from '../../contracts/pipeline.ts';
import type { RegisteredVersion } from '../../contracts/rollout.ts';
import type { PredictInstance } from '../../contracts/predict.ts';
import { activityEnvironment } from './activity-environment.ts';
import { analysisRows, CANDIDATE_FACTOR, forecastsBy, manifest } from './analysis-rows.ts';
import { MemoryServing } from './memory-serving.ts';
import type { SmallEndpoint, SmallVersion } from './small-endpoint.ts';
import { startEndpoint } from './small-endpoint.ts';

const folder = mkdtempSync(join(tmpdir(), 'shelfcast-rollout-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const version = (number: number, dataset = 'shop'): RegisteredVersion => ({
  modelName: 'm',
  version: number,
  runId: `run-${number}`,
  modelUri: pathToFileURL(folder).href,
  modelHash: `hash-${number}`,
  dataset,
});
const [champion, candidate] = [version(1), version(2)];
const served = (number: number, weightPercent: number, ready = true) => ({
  version: number,
  weightPercent,
  ready,
});

/** Rows of raw.current_id. */
let ids: { of: 'store' | 'dept'; number: number; id: string }[] = [];
const database = {
  query: () => Promise.resolve({ rows: ids }),
} as unknown as RolloutDependencies['database'];

/** Runs an activity as a worker does. */
function run<K extends keyof RolloutActivities>(
  serving: MemoryServing,
  name: K,
  request: Parameters<RolloutActivities[K]>[0],
): ReturnType<RolloutActivities[K]> {
  const activity = createRolloutActivities({ serving, database })[name] as (
    request: unknown,
  ) => Promise<Awaited<ReturnType<RolloutActivities[K]>>>;
  return activityEnvironment().run(() => activity(request)) as ReturnType<RolloutActivities[K]>;
}

describe('setTraffic', () => {
  test('gives the champion the rest and returns the weights', async () => {
    const serving = new MemoryServing([served(1, 100), served(2, 0)]);
    const weights = await run(serving, 'setTraffic', { candidate, champion, candidatePercent: 10 });
    expect(weights).toEqual({ 1: 90, 2: 10 });
    expect(serving.calls).toEqual(['traffic m {"1":90,"2":10}']);
  });

  test('takes all traffic from the candidate', async () => {
    const serving = new MemoryServing([served(1, 50), served(2, 50)]);
    expect(await run(serving, 'setTraffic', { candidate, champion, candidatePercent: 0 })).toEqual({
      1: 100,
      2: 0,
    });
    expect(await serving.observe()).toEqual([served(1, 100), served(2, 0)]);
  });

  test.each([
    ['the candidate has none', [served(1, 100), served(2, 0)], { 1: 100, 2: 0 }],
    ['the candidate is not served', [served(1, 100)], { 1: 100 }],
    ['nothing is served', [], {}],
  ])('changes nothing when %s that could be taken back', async (_name, states, weights) => {
    const serving = new MemoryServing(states);
    expect(await run(serving, 'setTraffic', { candidate, champion, candidatePercent: 0 })).toEqual(weights);
    expect(serving.calls).toEqual([]);
  });

  test('a first model has all of the traffic or none', async () => {
    const serving = new MemoryServing([served(2, 0)]);
    expect(await run(serving, 'setTraffic', { candidate, champion: null, candidatePercent: 100 })).toEqual({
      2: 100,
    });
    expect(await run(serving, 'setTraffic', { candidate, champion: null, candidatePercent: 0 })).toEqual({});
    expect(serving.calls).toEqual(['traffic m {"2":100}', 'traffic m {}']);
  });
});

describe('deploy', () => {
  test('serves the champion first, then the candidate, and waits until both are ready', async () => {
    const serving = new MemoryServing([served(1, 100)]);
    const deployed = run(serving, 'deploy', { candidate, champion, readyWithinSeconds: 60 });
    const early = await Promise.race([
      deployed.then(() => 'ready'),
      new Promise((r) => setTimeout(r, 100, 'waiting')),
    ]);
    expect(early).toBe('waiting');
    serving.set(served(2, 0));
    await deployed;
    expect(serving.calls).toEqual(['ensure m 1', 'ensure m 2']);
  });

  test('tells with each heartbeat which versions it waits for, and why', async () => {
    const serving = new MemoryServing([{ ...served(1, 100, false), message: 'no node has 4 GiB' }]);
    const environment = activityEnvironment();
    const heard: unknown[] = [];
    environment.on('heartbeat', (details) => {
      heard.push(details);
      for (const number of [1, 2]) serving.set(served(number, 0));
    });
    const { deploy } = createRolloutActivities({ serving, database });
    await environment.run(deploy, { candidate, champion, readyWithinSeconds: 5 });
    expect(heard).toEqual(['waiting for version 1 and version 2; version 1: no node has 4 GiB']);
  });

  test('serves a first model alone', async () => {
    const serving = new MemoryServing([served(2, 0)]);
    await run(serving, 'deploy', { candidate, champion: null, readyWithinSeconds: 60 });
    expect(serving.calls).toEqual(['ensure m 2']);
  });

  const waiting = (number: number, message?: string) => ({
    ...served(number, 0, false),
    ...(message === undefined ? {} : { message }),
  });
  test.each([
    [
      'names the version and its reason',
      [served(1, 100), waiting(2, 'no node has 4 GiB')],
      'version 2; version 2: no node has 4 GiB',
    ],
    [
      'points to the log where no reason is known',
      [served(1, 100), waiting(2)],
      "version 2; read the predictor's log",
    ],
    [
      'names both versions and the reason of each',
      [waiting(1, 'no node has 4 GiB'), waiting(2, 'no such image')],
      'version 1 and version 2; version 1: no node has 4 GiB; version 2: no such image',
    ],
    ['names a version that somebody removed', [served(1, 100)], "version 2; read the predictor's log"],
  ])('fails after its time and %s', async (_name, states, words) => {
    const serving = new MemoryServing(states);
    vi.spyOn(serving, 'observe').mockResolvedValue(states);
    await expect(
      run(serving, 'deploy', { candidate, champion, readyWithinSeconds: -1 }),
    ).rejects.toMatchObject({
      type: 'CandidateFailed',
      nonRetryable: true,
      message: `not ready to serve m within -1 seconds: ${words}`,
    });
  });
});

test('removeAllBut removes the versions that have no traffic and are not in keep', async () => {
  const serving = new MemoryServing([served(1, 0), served(2, 0), served(3, 0), served(4, 100)]);
  await run(serving, 'removeAllBut', { modelName: 'm', keep: [2] });
  expect(serving.calls).toEqual(['remove m 1', 'remove m 3']);
});

test('removeVersion removes the one', async () => {
  const serving = new MemoryServing([served(1, 100), served(2, 0)]);
  await run(serving, 'removeVersion', { modelName: 'm', version: 2 });
  expect(serving.calls).toEqual(['remove m 2']);
});

describe('before the router', () => {
  const model: ModelManifest = {
    formatVersion: 1,
    preset: 'global',
    dataset: 'shop',
    feastProject: 'shelfcast_shop',
    snapshotId: 'shop-1-ab',
    featureSetVersion: 'f1',
    horizonWeeks: 4,
    quantiles: manifest.quantiles,
    features: [{ name: 'sales_0', view: 'sales_history', column: 'sales_0' }],
    onnxSha256: 'a'.repeat(64),
  };
  const options = pipelineInputSchema.parse({
    rollout: { minRequestsPerStep: 4, minComparedPerStep: 30, maxRegression: 0.1 },
  }).rollout;
  const forecasting = (factor: number): SmallVersion['answer'] => {
    const forecasts = forecastsBy(factor);
    return (instances) => ({
      status: 200,
      body: { predictions: forecasts(instances), modelName: 'm', modelVersion: '1' },
    });
  };

  let endpoint: SmallEndpoint;
  afterEach(() => endpoint.stop());
  const start = async (
    answer: SmallVersion['answer'],
    champions = forecasting(1.3),
  ): Promise<MemoryServing> => {
    endpoint = await startEndpoint({
      1: { weightPercent: 50, answer: champions },
      2: { weightPercent: 50, answer },
    });
    return new MemoryServing([], endpoint.url);
  };
  const write = (rows: readonly AnalysisRow[], changed: Partial<ModelManifest> = {}): string => {
    writeFileSync(join(folder, 'model.json'), JSON.stringify({ ...model, ...changed }));
    const path = join(folder, 'analysis-rows.jsonl');
    writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    return pathToFileURL(path).href;
  };
  const asked = (number: number) => endpoint.asked.filter((request) => request.version === number);

  test('checkForecastParity asks the candidate, pinned, for 200 rows spread over the file', async () => {
    const analysisRowsUri = write(analysisRows(650));
    const serving = await start(forecasting(CANDIDATE_FACTOR));
    const sentence = await run(serving, 'checkForecastParity', { candidate, analysisRowsUri });
    expect(sentence).toBe(
      '200 deployed forecasts have a relative difference of up to 0.0e+0 to the evaluated forecasts',
    );
    expect(endpoint.asked.map(({ version: number, pinned }) => ({ number, pinned }))).toEqual([
      { number: 2, pinned: true },
    ]);
    const depts = endpoint.asked.flatMap(({ instances }) =>
      instances.map(({ dept }: PredictInstance) => dept),
    );
    expect(depts).toEqual(Array.from({ length: 200 }, (_, i) => i * 3));
  });

  test("asks by the user's ids: numbers in a column where all are whole, else text", async () => {
    const rows = analysisRows(12).map((row, i) => ({ ...row, store: 1 + (i % 2), dept: 1 + (i % 3) }));
    const analysisRowsUri = write(rows);
    ids = [
      { of: 'store', number: 1, id: '1' },
      { of: 'store', number: 2, id: '2' },
      { of: 'dept', number: 1, id: 'FOODS_1' },
      { of: 'dept', number: 2, id: '2' },
    ];
    const serving = await start(forecasting(CANDIDATE_FACTOR));
    await run(serving, 'checkForecastParity', { candidate, analysisRowsUri });
    await run(serving, 'analyzeStep', { ...step(analysisRowsUri) });
    ids = [];
    const series = endpoint.asked.flatMap(({ instances }) =>
      instances.map(({ store, dept }: PredictInstance) => JSON.stringify([store, dept])),
    );
    expect([...new Set(series)].sort()).toEqual(
      [1, 2].flatMap((store) => ['2', '3', 'FOODS_1'].map((dept) => JSON.stringify([store, dept]))),
    );
  });

  test.each([
    ['within the tolerance', 1 + 0.9e-4, null],
    ['beyond the tolerance', 1 + 1.1e-4, /difference of up to 1\.1e-4 .*allowed: 0\.0001/],
  ])('checkForecastParity of answers %s', async (_name, factor, words) => {
    const analysisRowsUri = write(analysisRows(20));
    const serving = await start(forecasting(CANDIDATE_FACTOR * factor));
    const check = run(serving, 'checkForecastParity', { candidate, analysisRowsUri });
    if (words === null) expect(await check).toContain('20 deployed forecasts');
    else
      await expect(check).rejects.toMatchObject({
        type: 'CandidateFailed',
        message: expect.stringMatching(words) as string,
      });
  });

  test.each([
    [422, 'CandidateFailed', true],
    [500, 'CandidateFailed', true],
    [503, 'ServiceUnavailable', false],
  ])('checkForecastParity that is answered %i fails as %s', async (status, type, nonRetryable) => {
    const analysisRowsUri = write(analysisRows(20));
    const serving = await start(() => ({ status, body: { error: 'no' } }));
    await expect(run(serving, 'checkForecastParity', { candidate, analysisRowsUri })).rejects.toMatchObject({
      type,
      nonRetryable,
      message: expect.stringContaining('version 2 did not return 20 evaluated forecasts: ') as string,
    });
  });

  const step = (analysisRowsUri: string, other: RegisteredVersion | null = champion) => ({
    ...{ candidate, champion: other, analysisRowsUri, weightPercent: 50, options },
  });

  test('analyzeStep compares with the champion and decides', async () => {
    const serving = await start(forecasting(CANDIDATE_FACTOR));
    const { analysis, decision } = await run(serving, 'analyzeStep', step(write(analysisRows(100))));
    expect(analysis.wape[1]).toBeCloseTo(0.3);
    expect(analysis.wape[2]).toBeCloseTo(0.1);
    expect(decision.outcome).toBe('successful');
  });

  test('analyzeStep fails a candidate that is worse than the champion', async () => {
    const serving = await start(forecasting(CANDIDATE_FACTOR), forecasting(1.05));
    const { decision } = await run(serving, 'analyzeStep', step(write(analysisRows(100))));
    expect(decision.outcome).toBe('failed');
    expect(decision.reason).toMatch(/^WAPE 10 % against the champion's 5 %/);
  });

  test.each<[string, RegisteredVersion | null, Partial<ModelManifest>]>([
    ['of another data set', version(1, 'other'), {}],
    ['that does not exist', null, {}],
    ['that knows fewer weeks ahead', champion, { horizonWeeks: 3 }],
  ])('analyzeStep asks no champion %s', async (_name, other, changed) => {
    const serving = await start(forecasting(CANDIDATE_FACTOR));
    const { analysis, decision } = await run(
      serving,
      'analyzeStep',
      step(write(analysisRows(100), changed), other),
    );
    expect(asked(1).filter(({ pinned }) => pinned)).toEqual([]);
    expect(Object.keys(analysis.wape)).toEqual(['2']);
    expect(decision).toMatchObject({
      outcome: 'successful',
      reason: expect.stringContaining('no champion can answer the same requests') as string,
    });
  });

  test.each([
    [
      20,
      'successful',
      "WAPE 10 % against the champion's 30 % on the same 20 forecasts (30 comparisons were asked for, but the test weeks have only 20)",
    ],
    [30, 'successful', "WAPE 10 % against the champion's 30 % on the same 30 forecasts"],
  ])('analyzeStep is content with the %i known weeks of a small data set', async (rows, outcome, reason) => {
    const serving = await start(forecasting(CANDIDATE_FACTOR));
    const { decision } = await run(serving, 'analyzeStep', step(write(analysisRows(rows))));
    expect(decision).toEqual({ outcome, reason });
  });

  test('analyzeStep sends a heartbeat for each request', async () => {
    const serving = await start(forecasting(CANDIDATE_FACTOR));
    const environment = activityEnvironment();
    const heartbeat = vi.fn();
    environment.on('heartbeat', heartbeat);
    await environment.run(
      createRolloutActivities({ serving, database }).analyzeStep,
      step(write(analysisRows(100))),
    );
    expect(heartbeat).toHaveBeenCalledTimes(endpoint.asked.filter(({ pinned }) => !pinned).length);
  });
});
