import { expect, test } from 'vitest';
import { decideGate } from '../../activities/gate.ts';
import type { EvaluateResult, Forecaster, Metrics } from '../../contracts/jobs.ts';
import type { GateOptions } from '../../contracts/pipeline.ts';

type Overall = EvaluateResult['overall'];

const metrics = (wmae: number, coverage80: number | null = null): Metrics => ({
  wmae,
  wape: 0.1,
  rmse: 1,
  bias: 0,
  coverage80,
  rows: 100,
});

/** A candidate that passes every check, but for what the test changes. */
const evaluated = (changed: Overall = {}, without: Forecaster[] = []): EvaluateResult => {
  const overall: Overall = {
    candidate: metrics(1_000, 0.8),
    last_week: metrics(2_000),
    same_week_last_year: metrics(1_600),
    ...changed,
  };
  return {
    overall: Object.fromEntries(
      Object.entries(overall).filter(([name]) => !without.includes(name as Forecaster)),
    ),
    oneWeekAhead: {},
    slices: {},
    testFirstWeek: '2025-10-10',
    testLastWeek: '2025-11-28',
    evidenceUri: 'file:///a/evidence.jsonl',
    reportUri: 'file:///a/evaluate',
  };
};

const options: GateOptions = {
  minImprovementOverBaselines: 0,
  maxRegressionAgainstChampion: 0.02,
  coverage80: [0.65, 0.95],
};

/** Names of the checks that failed. */
const failed = (result: EvaluateResult, changed: Partial<GateOptions> = {}): string[] =>
  decideGate(result, { ...options, ...changed })
    .checks.filter(({ passed }) => !passed)
    .map(({ name }) => name);

const reasonOf = (name: string, result: EvaluateResult, changed: Partial<GateOptions> = {}) =>
  decideGate(result, { ...options, ...changed }).checks.find((check) => check.name === name)?.reason;

test('a candidate that is good in all passes; the champion is a check only when there is one', () => {
  const first = decideGate(evaluated(), options);
  expect(first.verdict).toBe('pass');
  expect(first.checks.map(({ name }) => name)).toEqual(['last_week', 'same_week_last_year', 'coverage']);
  const second = decideGate(evaluated({ champion: metrics(1_010) }), options);
  expect(second.verdict).toBe('pass');
  expect(second.checks.map(({ name }) => name)).toEqual([
    'last_week',
    'same_week_last_year',
    'champion',
    'coverage',
  ]);
});

test('one failed check fails the gate', () => {
  expect(decideGate(evaluated({ last_week: metrics(999) }), options).verdict).toBe('fail');
});

test.each<[string, Overall, Partial<GateOptions>, string[]]>([
  ['equal to last week', { last_week: metrics(1_000) }, {}, []],
  ['a cent above last week', { last_week: metrics(999.99) }, {}, ['last_week']],
  ['equal to last year', { same_week_last_year: metrics(1_000) }, {}, []],
  ['a cent above last year', { same_week_last_year: metrics(999.99) }, {}, ['same_week_last_year']],
  ['25 % below both, 25 % asked for', same(1_000 / 0.75), { minImprovementOverBaselines: 0.25 }, []],
  [
    'not quite 25 % below both, 25 % asked for',
    same(1_333),
    { minImprovementOverBaselines: 0.25 },
    ['last_week', 'same_week_last_year'],
  ],
  [
    '25 % above the champion, 25 % allowed',
    { champion: metrics(800) },
    { maxRegressionAgainstChampion: 0.25 },
    [],
  ],
  [
    'over 25 % above the champion, 25 % allowed',
    { champion: metrics(799.99) },
    { maxRegressionAgainstChampion: 0.25 },
    ['champion'],
  ],
  [
    'equal to the champion, nothing allowed',
    { champion: metrics(1_000) },
    { maxRegressionAgainstChampion: 0 },
    [],
  ],
  ['coverage at the lower bound', { candidate: metrics(1_000, 0.65) }, {}, []],
  ['coverage below it', { candidate: metrics(1_000, 0.649) }, {}, ['coverage']],
  ['coverage at the upper bound', { candidate: metrics(1_000, 0.95) }, {}, []],
  ['coverage above it', { candidate: metrics(1_000, 0.951) }, {}, ['coverage']],
  ['no coverage', { candidate: metrics(1_000, null) }, {}, ['coverage']],
])('%s', (_name, changed, changedOptions, expected) => {
  expect(failed(evaluated(changed), changedOptions)).toEqual(expected);
});

function same(wmae: number): Overall {
  return { last_week: metrics(wmae), same_week_last_year: metrics(wmae) };
}

test.each<[string, EvaluateResult, string, string]>([
  ['last_week', evaluated({}, ['last_week']), 'last_week', 'last week'],
  [
    'same_week_last_year',
    evaluated({}, ['same_week_last_year']),
    'same_week_last_year',
    'the same week last year',
  ],
  ['the candidate', evaluated({}, ['candidate']), 'last_week', 'the candidate'],
  [
    'the candidate beside a champion',
    evaluated({ champion: metrics(1_000) }, ['candidate']),
    'champion',
    'the candidate',
  ],
])('a backtest without %s fails and says whose number is missing', (_name, result, check, whose) => {
  expect(failed(result)).toContain(check);
  expect(reasonOf(check, result)).toBe(`the backtest holds no WMAE of ${whose}`);
});

test('a backtest without the candidate fails every check', () => {
  const result = evaluated({ champion: metrics(1_000) }, ['candidate']);
  expect(failed(result)).toEqual(['last_week', 'same_week_last_year', 'champion', 'coverage']);
});

test('the sentences carry the numbers that decided', () => {
  const result = evaluated({
    candidate: metrics(1_000, 0.6),
    last_week: metrics(1_250),
    same_week_last_year: metrics(800),
    champion: metrics(1_000),
  });
  expect(reasonOf('last_week', result)).toBe('WMAE $1000 is 20.0 % below that of last week, $1250');
  expect(reasonOf('same_week_last_year', result, { minImprovementOverBaselines: 0.05 })).toBe(
    'WMAE $1000 is 25.0 % above that of the same week last year, $800 (at least 5.0 % below is asked for)',
  );
  expect(reasonOf('champion', result)).toBe(
    "WMAE $1000 is equal to the champion's $1000 (at most 2.0 % above is allowed)",
  );
  expect(reasonOf('coverage', result)).toBe(
    '60.0 % of actual sales lie inside the 80 % interval (allowed: 65.0 % to 95.0 %)',
  );
  expect(reasonOf('coverage', evaluated({ candidate: metrics(1_000, null) }))).toBe(
    'the backtest holds no coverage of the 80 % interval',
  );
});
