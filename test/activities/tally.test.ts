/** Counts of a canary step: what counts for which version, and when a step has enough. */
import { describe, expect, test, vi } from 'vitest';
import type { Answer } from '../../activities/endpoint.ts';
import { Tally } from '../../activities/tally.ts';
import type { TallyPlan } from '../../activities/tally.ts';
import { CANDIDATE_FACTOR, analysisRows, forecastsBy, manifest } from './analysis-rows.ts';

const CHAMPION = 1;
const CANDIDATE = 2;
const plan: TallyPlan = {
  versions: { candidate: CANDIDATE, champion: CHAMPION },
  weightPercent: 50,
  manifest,
  options: { minRequestsPerStep: 4, minComparedPerStep: 3, maxErrorRate: 0.25 },
};

const answered = (version: number | null, changed: Partial<Answer> = {}): Answer => ({
  ...{ status: 200, version, unreachableVersion: null, message: '', predictions: [] },
  ...changed,
});
const refused = (version: number | null): Answer => answered(version, { status: 500, predictions: null });
const unreachable = (version: number): Answer => ({ ...refused(null), unreachableVersion: version });
const times = (n: number, answer: Answer): Answer[] => Array.from({ length: n }, () => answer);

const [rows, evaluated, older] = [analysisRows(4), forecastsBy(CANDIDATE_FACTOR), forecastsBy(1.3)];
const compare = (tally: Tally, batch = rows, ofChampion: Answer['predictions'] = older(batch)) =>
  tally.compare(batch, evaluated(batch), () =>
    Promise.resolve(answered(CHAMPION, { predictions: ofChampion })),
  );

test('each answer counts for the version that gave it, and for the one that was not reached', () => {
  const tally = new Tally(plan);
  const handedOver = answered(CHAMPION, { unreachableVersion: CANDIDATE });
  for (const answer of [answered(CANDIDATE), refused(CANDIDATE), handedOver, refused(null), unreachable(7)])
    tally.count(answer);
  expect(tally.analysis()).toEqual({
    weightPercent: 50,
    requests: { [CHAMPION]: 1, [CANDIDATE]: 2 },
    failedRequests: { [CANDIDATE]: 1 },
    unreachable: { [CANDIDATE]: 1, 7: 1 },
    compared: { [CHAMPION]: 0, [CANDIDATE]: 0 },
    wape: {},
    meanAbsoluteError: {},
    maxParityDifference: 0,
  });
});

describe('compare', () => {
  test('takes sales below zero by their size', async () => {
    const tally = new Tally(plan);
    await compare(tally, [
      { ...analysisRows(1)[0], actual: -100 } as (typeof rows)[number],
      ...rows.slice(1, 2),
    ]);
    const { wape, compared } = tally.analysis();
    expect(compared).toEqual({ [CHAMPION]: 2, [CANDIDATE]: 2 });
    expect(wape[CANDIDATE]).toBeCloseTo((210 + 10.1) / 201);
    expect(wape[CHAMPION]).toBeCloseTo((230 + 30.3) / 201);
  });

  test('has no relative error where all sales are zero', async () => {
    const tally = new Tally(plan);
    await compare(
      tally,
      rows.map((row) => ({ ...row, actual: 0 })),
    );
    expect(tally.analysis()).toMatchObject({ wape: {}, compared: { [CANDIDATE]: 4 } });
    // Forecasts of 100, 101, 102 and 103 dollars, times the factor of each version.
    expect(tally.analysis().meanAbsoluteError?.[CANDIDATE]).toBeCloseTo(101.5 * CANDIDATE_FACTOR);
    expect(tally.analysis().meanAbsoluteError?.[CHAMPION]).toBeCloseTo(101.5 * 1.3);
  });

  test('counts a row once, and asks the champion only for batches with a new one', async () => {
    const tally = new Tally(plan);
    // The row in both batches has a larger relative error than the others.
    const batch = analysisRows(3).map((row, i) => (i === 1 ? { ...row, actual: 50 } : row));
    await compare(tally, batch.slice(0, 2));
    await compare(tally, batch.slice(1, 3));
    expect(tally.analysis().compared).toEqual({ [CHAMPION]: 3, [CANDIDATE]: 3 });
    expect(tally.analysis().wape[CANDIDATE]).toBeCloseTo((10 + 61.1 + 10.2) / 252);
    expect(tally.analysis().wape[CHAMPION]).toBeCloseTo((30 + 81.3 + 30.6) / 252);
    const askChampion = vi.fn(() => Promise.resolve(null));
    await tally.compare(batch, evaluated(batch), askChampion);
    expect(askChampion).not.toHaveBeenCalled();
  });

  test('leaves out a batch that the champion refuses, but not its difference from the evaluation', async () => {
    const tally = new Tally(plan);
    const doubled = rows.map((row) => ({ ...row, expected: row.expected.map((value) => value / 2) }));
    await compare(tally, doubled, null);
    expect(tally.analysis()).toMatchObject({ compared: { [CANDIDATE]: 0 }, wape: {} });
    expect(tally.analysis().maxParityDifference).toBeCloseTo(1);
    // The largest difference stays.
    await compare(tally);
    expect(tally.analysis().maxParityDifference).toBeCloseTo(1);
  });

  test('has no error where a forecast is missing, and differs from the evaluation without end', async () => {
    const tally = new Tally(plan);
    await tally.compare(rows, evaluated(rows).slice(1), () =>
      Promise.resolve(answered(CHAMPION, { predictions: older(rows).slice(1) })),
    );
    const { wape, maxParityDifference } = tally.analysis();
    expect(wape).toEqual({ [CHAMPION]: NaN, [CANDIDATE]: NaN });
    expect(maxParityDifference).toBe(Infinity);
  });

  test('needs no champion where none can answer', async () => {
    const tally = new Tally({ ...plan, versions: { candidate: CANDIDATE, champion: null } });
    await tally.compare(rows, evaluated(rows), () => Promise.resolve(null));
    const { wape, compared } = tally.analysis();
    expect(compared).toEqual({ [CANDIDATE]: 4 });
    expect(Object.keys(wape)).toEqual([String(CANDIDATE)]);
  });
});

test.each<[string, Answer[], number, boolean]>([
  ['nothing', [], 0, false],
  ['just enough', times(4, answered(CANDIDATE)), 3, true],
  ['one request too few', times(3, answered(CANDIDATE)), 4, false],
  ["the champion's requests", times(9, answered(CHAMPION)), 4, false],
  ['one comparison too few', times(9, answered(CANDIDATE)), 2, false],
  ['failures at their bound', [refused(CANDIDATE)], 0, false],
  ['one failure too many', times(2, refused(CANDIDATE)), 0, true],
  ["the champion's failures", times(9, refused(CHAMPION)), 0, false],
  ['a request that did not reach the candidate', [unreachable(CANDIDATE)], 0, true],
  ['requests that did not reach the champion', times(9, unreachable(CHAMPION)), 0, false],
])('with %s a step is complete or not', async (_name, answers, compared, isComplete) => {
  const tally = new Tally(plan);
  for (const answer of answers) tally.count(answer);
  await compare(tally, rows.slice(0, compared));
  expect(tally.isComplete()).toBe(isComplete);
});
