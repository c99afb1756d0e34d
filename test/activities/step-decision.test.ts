import { expect, test } from 'vitest';
import { PARITY_TOLERANCE } from '../../activities/parity.ts';
import { decideStep, hasTooManyFailures } from '../../activities/step-decision.ts';
import type { RolloutOptions } from '../../contracts/pipeline.ts';
import type { StepAnalysis, StepDecision } from '../../contracts/rollout.ts';

const CANDIDATE = 2;
const CHAMPION = 1;

type Options = Parameters<typeof decideStep>[1];
const options: Options = {
  minRequestsPerStep: 40,
  minComparedPerStep: 200,
  maxErrorRate: 0.1,
  maxRegression: 0.25,
};

/** Just enough of everything, at the bounds where there are some. */
const analysis = (changed: Partial<StepAnalysis> = {}): StepAnalysis => ({
  weightPercent: 10,
  requests: { [CHAMPION]: 360, [CANDIDATE]: 40 },
  failedRequests: { [CANDIDATE]: 4 },
  unreachable: {},
  compared: { [CHAMPION]: 200, [CANDIDATE]: 200 },
  wape: { [CHAMPION]: 0.08, [CANDIDATE]: 0.1 },
  maxParityDifference: PARITY_TOLERANCE,
  ...changed,
});

const decide = (changed: Partial<StepAnalysis> = {}, champion: number | null = CHAMPION) =>
  decideStep(analysis(changed), options, { candidate: CANDIDATE, champion });

const failures = (candidate: number, champion = 0) => ({
  failedRequests: { [CANDIDATE]: candidate, [CHAMPION]: champion },
});

test.each<[string, StepDecision['outcome'], Partial<StepAnalysis>]>([
  ['everything at its bound', 'successful', {}],
  ['answers differ by more than the tolerance', 'failed', { maxParityDifference: 1.001 * PARITY_TOLERANCE }],
  ['answers miss a value', 'failed', { maxParityDifference: Infinity }],
  ['one failure too many', 'failed', failures(5)],
  ["failures are the champion's", 'successful', failures(0, 300)],
  ['one request did not reach the candidate', 'inconclusive', { unreachable: { [CANDIDATE]: 1 } }],
  ['requests did not reach the champion', 'successful', { unreachable: { [CHAMPION]: 9 } }],
  ['one request too few', 'inconclusive', { requests: { [CHAMPION]: 360, [CANDIDATE]: 39 } }],
  ['no request at all', 'inconclusive', { requests: {}, failedRequests: {} }],
  ['one comparison too few', 'inconclusive', { compared: { [CHAMPION]: 199, [CANDIDATE]: 199 } }],
  ['actuals of zero', 'inconclusive', { wape: {} }],
  [
    'actuals of zero, the error within the margin',
    'successful',
    { wape: {}, meanAbsoluteError: { [CHAMPION]: 8, [CANDIDATE]: 10 } },
  ],
  [
    'actuals of zero, the error above the margin',
    'failed',
    { wape: {}, meanAbsoluteError: { [CHAMPION]: 8, [CANDIDATE]: 10.01 } },
  ],
  ['no error of the champion', 'inconclusive', { wape: { [CANDIDATE]: 0.1 } }],
  ['error above the margin', 'failed', { wape: { [CHAMPION]: 0.08, [CANDIDATE]: 0.1001 } }],
  ['both errors are zero', 'successful', { wape: { [CHAMPION]: 0, [CANDIDATE]: 0 } }],
])('%s: %s', (_name, outcome, changed) => {
  expect(decide(changed).outcome).toBe(outcome);
});

test.each<[string, Partial<StepAnalysis>, RegExp]>([
  [
    'wrong answers fail the step whatever else is missing',
    {
      maxParityDifference: 0.5,
      ...failures(40),
      unreachable: { [CANDIDATE]: 3 },
      requests: {},
      compared: {},
    },
    /^version 2 differs by up to 50 % from .*\(allowed: 0\.01 %\)$/,
  ],
  [
    'failures before requests that did not arrive',
    { ...failures(5), unreachable: { [CANDIDATE]: 3 }, requests: { [CANDIDATE]: 7 } },
    /^version 2 failed 5 of 7 requests \(allowed: 10 %\)$/,
  ],
  [
    'requests that did not arrive before too few',
    { unreachable: { [CANDIDATE]: 3 }, requests: { [CANDIDATE]: 7 }, compared: {} },
    /^version 2 could not be reached for 3 requests$/,
  ],
  [
    'too few requests before too few comparisons',
    { requests: { [CANDIDATE]: 7 }, compared: {} },
    /^version 2 answered 7 of 40 requests needed$/,
  ],
  [
    'too few comparisons before the error',
    { compared: { [CANDIDATE]: 30 }, wape: { [CHAMPION]: 0.01, [CANDIDATE]: 9 } },
    /^30 of 200 needed forecasts of version 2 were compared$/,
  ],
  ['nothing compared', { wape: {} }, /no forecast of version 2 was compared/],
  [
    'silent champion',
    { wape: { [CANDIDATE]: 0.1 } },
    /^version 1, the champion, answered none of the 200 forecasts$/,
  ],
  ['successful', {}, /^WAPE 10 % against the champion's 8 % on the same 200 forecasts$/],
  [
    'worse',
    { wape: { [CHAMPION]: 0.08, [CANDIDATE]: 0.1234 } },
    /^WAPE 12\.3 % against the champion's 8 % on the same 200 forecasts \(allowed: at most 25 % above\)$/,
  ],
])('%s comes first and says so with its numbers', (_name, changed, sentence) => {
  expect(decide(changed).reason).toMatch(sentence);
});

test('without a champion a step still needs its requests and comparisons', () => {
  expect(decide({ wape: { [CANDIDATE]: 5 } }, null)).toEqual({
    outcome: 'successful',
    reason: 'WAPE 500 % on 200 forecasts; no champion can answer the same requests',
  });
  expect(decide({ wape: {} }, null).outcome).toBe('inconclusive');
  expect(decide({ maxParityDifference: 1 }, null).outcome).toBe('failed');
  expect(decide({ requests: {}, failedRequests: {} }, null).outcome).toBe('inconclusive');
});

test.each<[number, number, Pick<RolloutOptions, 'minRequestsPerStep' | 'maxErrorRate'>, boolean]>([
  // While fewer than the minimum were asked, the rest may still succeed.
  [1, 1, { minRequestsPerStep: 10, maxErrorRate: 0.1 }, false],
  [2, 2, { minRequestsPerStep: 10, maxErrorRate: 0.1 }, true],
  [2, 20, { minRequestsPerStep: 10, maxErrorRate: 0.1 }, false],
  [3, 20, { minRequestsPerStep: 10, maxErrorRate: 0.1 }, true],
  [0, 5, { minRequestsPerStep: 1, maxErrorRate: 0 }, false],
  [1, 500, { minRequestsPerStep: 1, maxErrorRate: 0 }, true],
  [5, 5, { minRequestsPerStep: 1, maxErrorRate: 1 }, false],
  // 0.29 * 100 is 28.999999999999996.
  [29, 100, { minRequestsPerStep: 100, maxErrorRate: 0.29 }, false],
  [30, 100, { minRequestsPerStep: 100, maxErrorRate: 0.29 }, true],
])('%i failures in %i requests, %o: too many is %s', (failed, requests, limits, expected) => {
  const given = analysis({ requests: { [CANDIDATE]: requests }, failedRequests: { [CANDIDATE]: failed } });
  expect(hasTooManyFailures(given, limits, CANDIDATE)).toBe(expected);
});
