/** Canary steps before the real router: what is asked, of whom, how often, and what is tallied. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { askForecasts } from '../../activities/endpoint.ts';
import type { AnalysisPlan } from '../../activities/analysis.ts';
import { collectAnalysis } from '../../activities/analysis.ts';
import { isUnavailable } from '../../activities/service-errors.ts';
import { decideStep } from '../../activities/step-decision.ts';
import type { StepAnalysis } from '../../contracts/rollout.ts';
import { CANDIDATE_FACTOR, analysisRows, forecastsBy, manifest } from './analysis-rows.ts';
import type { SmallEndpoint, SmallVersion } from './small-endpoint.ts';
import { startEndpoint } from './small-endpoint.ts';

const CHAMPION = 1;
const CANDIDATE = 2;
const versions = { candidate: CANDIDATE, champion: CHAMPION };
const options = { minRequestsPerStep: 8, minComparedPerStep: 60, maxErrorRate: 0.25, maxRegression: 0.1 };
/** 1.5 times the requests that half of the traffic needs, and 20. */
const LIMIT_AT_HALF = 8 * 2 * 1.5 + 20;
const IN_FLIGHT = 4;

let endpoint: SmallEndpoint;
afterEach(() => endpoint.stop());

const forever = new AbortController().signal;
const forecasting = (factor: number): SmallVersion['answer'] => {
  const forecasts = forecastsBy(factor);
  return (instances) => ({
    status: 200,
    body: { predictions: forecasts(instances), modelName: 'm', modelVersion: '1' },
  });
};
const refusing =
  (status: number): SmallVersion['answer'] =>
  () => ({ status, body: { error: 'no' } });
const late =
  (answer: SmallVersion['answer']): SmallVersion['answer'] =>
  (instances, n) => {
    const reply = answer(instances, n);
    return reply === null ? null : { ...reply, delayMs: 30 };
  };
const good = forecasting(CANDIDATE_FACTOR);
/** 30 % too much: worse than the candidate. */
const older = forecasting(1.3);

async function start(candidate: SmallVersion['answer'], champion = older, weightPercent = 50): Promise<void> {
  endpoint = await startEndpoint({
    [CHAMPION]: { weightPercent: 100 - weightPercent, answer: champion },
    [CANDIDATE]: { weightPercent, answer: candidate },
  });
}

const collect = (
  changed: Partial<AnalysisPlan> = {},
  signal = forever,
  onRequest: () => void = () => undefined,
): Promise<StepAnalysis> =>
  collectAnalysis(
    { endpoint, versions, weightPercent: 50, rows: analysisRows(300), manifest, options, ...changed },
    signal,
    onRequest,
  );

const decide = (analysis: StepAnalysis, champion: number | null = CHAMPION) =>
  decideStep(analysis, options, { candidate: CANDIDATE, champion });

const turns = () => endpoint.asked.filter(({ pinned }) => !pinned);
const pinnedTo = (version: number) =>
  endpoint.asked.filter((request) => request.pinned && request.version === version);
const weeks = (asked: SmallEndpoint['asked']) =>
  asked.flatMap(({ instances }) => instances.map(({ dept }) => Number(dept)));
const sorted = (numbers: number[]) => numbers.toSorted((a, b) => a - b);

/** Requests that were already sent may still arrive. */
async function expectNoMoreRequests(): Promise<void> {
  await sleep(100);
  const { length } = endpoint.asked;
  await sleep(150);
  expect(endpoint.asked).toHaveLength(length);
}

test('the candidate answers by its weight, then the champion answers the same rows once, pinned', async () => {
  await start(good);
  let heard = 0;
  const analysis = await collect({}, forever, () => {
    heard += 1;
  });

  expect(analysis.weightPercent).toBe(50);
  expect(analysis.requests[CANDIDATE]).toBeGreaterThanOrEqual(options.minRequestsPerStep);
  expect(analysis.requests[CHAMPION]).toBeGreaterThanOrEqual(options.minRequestsPerStep - 1);
  expect(analysis).toMatchObject({ failedRequests: {}, unreachable: {}, maxParityDifference: 0 });
  expect(analysis.compared[CANDIDATE]).toBeGreaterThanOrEqual(options.minComparedPerStep);
  expect(analysis.compared[CHAMPION]).toBe(analysis.compared[CANDIDATE]);
  expect(analysis.wape[CANDIDATE]).toBeCloseTo(0.1);
  expect(analysis.wape[CHAMPION]).toBeCloseTo(0.3);
  expect(decide(analysis).outcome).toBe('successful');

  expect(heard).toBe(turns().length);
  expect(pinnedTo(CANDIDATE)).toEqual([]);
  const byCandidate = turns().filter(({ version }) => version === CANDIDATE);
  expect(sorted(weeks(pinnedTo(CHAMPION)))).toEqual(sorted(weeks(byCandidate)));
  expect(new Set(weeks(byCandidate)).size).toBe(analysis.compared[CANDIDATE]);
});

test('a request carries ten rows with their features', async () => {
  await start(good);
  await collect();
  const [first] = turns();
  expect(first?.instances).toHaveLength(10);
  expect(first?.instances[3]).toEqual({
    store: 4,
    dept: 3,
    horizon: 4,
    features: { sales_0: 103, temperature: null },
  });
  expect(Math.max(...endpoint.asked.map(({ instances }) => instances.length))).toBe(10);
});

test('few rows are sent again until the requests suffice, and are compared once', async () => {
  await start(good);
  const plan = {
    rows: analysisRows(20),
    options: { ...options, minRequestsPerStep: 30, minComparedPerStep: 20 },
  };
  const analysis = await collect(plan);
  expect(analysis.requests[CANDIDATE]).toBeGreaterThanOrEqual(30);
  expect(analysis.compared).toEqual({ [CHAMPION]: 20, [CANDIDATE]: 20 });
  expect(analysis.wape[CANDIDATE]).toBeCloseTo(0.1);
  expect(new Set(weeks(pinnedTo(CHAMPION))).size).toBe(20);
  // Two requests carry them all; those that were asked at the same time may be asked for twice.
  expect(pinnedTo(CHAMPION).length).toBeLessThan(2 + 2 * IN_FLIGHT);
});

test('rows that are answered twice at the same time count once', async () => {
  await start(late(good), late(older), 100);
  // The first ten sold twice what was forecast, so that their error is another than that of the rest.
  const rows = analysisRows(30).map((row, i) => (i < 10 ? { ...row, actual: 2 * row.actual } : row));
  const analysis = await collect({
    rows,
    weightPercent: 100,
    options: { ...options, minRequestsPerStep: 4, minComparedPerStep: 30 },
  });
  expect(weeks(turns()).length).toBeGreaterThan(30);
  const sum = (numbers: number[]) => numbers.reduce((total, n) => total + n, 0);
  const errors = rows.map(({ expected, actual }) => Math.abs((expected[2] ?? NaN) - actual));
  expect(analysis.wape[CANDIDATE]).toBeCloseTo(sum(errors) / sum(rows.map(({ actual }) => actual)));
});

test('with too few rows the step ends at the limit, inconclusive', async () => {
  await start(good);
  const analysis = await collect({ rows: analysisRows(50) });
  expect(analysis.compared[CANDIDATE]).toBe(50);
  expect(turns()).toHaveLength(LIMIT_AT_HALF);
  expect(decide(analysis).outcome).toBe('inconclusive');
});

test('without rows nothing is sent', async () => {
  await start(good);
  expect(decide(await collect({ rows: [] })).outcome).toBe('inconclusive');
  expect(endpoint.asked).toEqual([]);
});

test('without a comparable champion only the candidate is asked', async () => {
  await start(good);
  const analysis = await collect({ versions: { candidate: CANDIDATE, champion: null } });
  expect(pinnedTo(CHAMPION)).toEqual([]);
  expect(Object.keys(analysis.wape)).toEqual([String(CANDIDATE)]);
  expect(Object.keys(analysis.compared)).toEqual([String(CANDIDATE)]);
  expect(decide(analysis, null).outcome).toBe('successful');
});

test.each([500, 400])(
  'a candidate that answers %i fails as soon as its failure is certain',
  async (status) => {
    await start(refusing(status));
    const analysis = await collect();
    // A quarter of 8 may fail.
    expect(analysis.failedRequests[CANDIDATE]).toBeGreaterThanOrEqual(3);
    expect(analysis.failedRequests[CANDIDATE]).toBeLessThan(3 + IN_FLIGHT);
    expect(analysis.requests[CANDIDATE]).toBe(analysis.failedRequests[CANDIDATE]);
    expect(analysis.compared[CANDIDATE]).toBe(0);
    expect(decide(analysis).outcome).toBe('failed');
  },
);

test('a few failures are counted and the step goes on', async () => {
  await start((instances, n) => (n <= 2 ? { status: 500, body: {} } : good(instances, n)));
  const analysis = await collect();
  expect(analysis.failedRequests).toEqual({ [CANDIDATE]: 2 });
  expect(decide(analysis).outcome).toBe('successful');
});

test('an unreachable candidate ends the step inconclusive; the champion answers its requests', async () => {
  await start(() => null);
  const analysis = await collect();
  expect(analysis.unreachable[CANDIDATE]).toBeGreaterThanOrEqual(1);
  expect(analysis.unreachable[CANDIDATE]).toBeLessThanOrEqual(IN_FLIGHT);
  expect(analysis.requests[CANDIDATE]).toBeUndefined();
  expect(analysis.requests[CHAMPION]).toBeGreaterThanOrEqual(1);
  expect(decide(analysis)).toEqual({
    outcome: 'inconclusive',
    reason: `version ${CANDIDATE} could not be reached for ${analysis.unreachable[CANDIDATE] ?? 0} requests`,
  });
});

test('an unreachable candidate with all traffic is inconclusive too', async () => {
  await start(() => null, older, 100);
  const analysis = await collect({ weightPercent: 100 });
  expect(analysis.requests).toEqual({});
  expect(analysis.unreachable[CANDIDATE]).toBeGreaterThanOrEqual(1);
  expect(decide(analysis).outcome).toBe('inconclusive');
});

test('a router that never gives the candidate its share gets at most the limit of requests', async () => {
  await start(good, older, 0);
  const analysis = await collect();
  expect(turns()).toHaveLength(LIMIT_AT_HALF);
  expect(analysis.requests).toEqual({ [CHAMPION]: LIMIT_AT_HALF });
  expect(pinnedTo(CHAMPION)).toEqual([]);
  expect(decide(analysis).outcome).toBe('inconclusive');
});

test('a small weight gets more requests', async () => {
  await start(good, older, 10);
  const analysis = await collect({ weightPercent: 10 });
  expect(analysis.requests[CHAMPION]).toBeGreaterThan(LIMIT_AT_HALF);
  expect(decide(analysis).outcome).toBe('successful');
});

test('a router without traffic for any version gets at most the limit of requests', async () => {
  endpoint = await startEndpoint({ [CANDIDATE]: { weightPercent: 0, answer: good } });
  let heard = 0;
  const analysis = await collect({}, forever, () => {
    heard += 1;
  });
  expect(heard).toBe(LIMIT_AT_HALF);
  expect(analysis).toMatchObject({ requests: {}, unreachable: {} });
  expect(decide(analysis).outcome).toBe('inconclusive');
});

test('rows that the champion does not answer are not compared, and their number is limited', async () => {
  await start(good, refusing(500));
  const analysis = await collect();
  expect(analysis.compared).toEqual({ [CHAMPION]: 0, [CANDIDATE]: 0 });
  expect(turns()).toHaveLength(LIMIT_AT_HALF);
  expect(pinnedTo(CHAMPION)).toHaveLength(analysis.requests[CANDIDATE] ?? 0);
  expect(analysis.failedRequests[CANDIDATE]).toBeUndefined();
  expect(decide(analysis).outcome).toBe('inconclusive');
});

test('a candidate that does not repeat its evaluated forecasts fails', async () => {
  await start(forecasting(CANDIDATE_FACTOR * 1.001));
  const analysis = await collect();
  expect(analysis.maxParityDifference).toBeCloseTo(0.001);
  expect(decide(analysis).outcome).toBe('failed');
});

test('sales of zero have no WAPE but an error in dollars; returned goods count by their absolute value', async () => {
  await start(good);
  const sold = (actual: number) => analysisRows(100).map((row) => ({ ...row, actual }));
  const zero = await collect({ rows: sold(0) });
  expect(zero.wape).toEqual({});
  expect(zero.meanAbsoluteError?.[CANDIDATE]).toBeGreaterThan(0);
  expect(decide(zero).reason).toMatch(
    /^without any sales, mean absolute error [\d.]+ against the champion's [\d.]+ /,
  );
  expect((await collect({ rows: sold(-1_000) })).wape[CANDIDATE]).toBeGreaterThan(1);
});

test.each([{ predictions: [] }, { forecasts: 'none' }, 'not JSON'])(
  'the answer %j is none: a failed request of the version',
  async (body) => {
    await start(() => ({ status: 200, body }));
    const analysis = await collect();
    expect(analysis.failedRequests[CANDIDATE]).toBe(analysis.requests[CANDIDATE]);
    expect(analysis.compared[CANDIDATE]).toBe(0);
    expect(decide(analysis).outcome).toBe('failed');
  },
);

test('an attempt that fails ends its other requests', async () => {
  await start(late(good), late(older));
  let heard = 0;
  const failing = () => {
    heard += 1;
    // The loops beside the first one would go on.
    if (heard === 1) throw new Error('no heartbeat');
  };
  const many = { options: { ...options, minRequestsPerStep: 1_000 } };
  await expect(collect(many, forever, failing)).rejects.toThrow('no heartbeat');
  await expectNoMoreRequests();
});

test('a cancelled step sends no more requests', async () => {
  const cancelling = new AbortController();
  await start(late(good), late(older));
  const cancelled = new Error('cancelled');
  const step = collect({}, cancelling.signal, () => {
    cancelling.abort(cancelled);
  });
  await expect(step).rejects.toBe(cancelled);
  await expectNoMoreRequests();
});

test('an unavailable router is an error, not a result', async () => {
  await start(good);
  const { url, modelName } = endpoint;
  await endpoint.stop();
  await start(good);
  const error: unknown = await collect({ endpoint: { url, modelName } }).catch((reason: unknown) => reason);
  expect(isUnavailable(error)).toBe(true);
});

test('an answer has its version, or the message of a refusal', async () => {
  await start(good, refusing(422));
  const [row] = analysisRows(1);
  const instances = row === undefined ? [] : [row];
  expect(await askForecasts(endpoint, instances, forever, CANDIDATE)).toMatchObject({
    status: 200,
    version: CANDIDATE,
    unreachableVersion: null,
    message: '',
    predictions: [{ dept: 0, p50: 100 * CANDIDATE_FACTOR }],
  });
  expect(await askForecasts(endpoint, instances, forever, CHAMPION)).toEqual({
    status: 422,
    version: CHAMPION,
    unreachableVersion: null,
    message: '{"error":"no"}',
    predictions: null,
  });
  expect(await askForecasts(endpoint, instances, forever, 3)).toMatchObject({
    status: 404,
    version: null,
    message: expect.stringContaining('VERSION_NOT_FOUND') as string,
    predictions: null,
  });
});
