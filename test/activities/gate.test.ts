import { describe, expect, test } from 'vitest';
import { decideGate as decideIn } from '../../activities/gate.ts';
import type { Comparison, EvaluateResult, Forecaster, Metrics } from '../../contracts/jobs.ts';
import type { GateOptions } from '../../contracts/pipeline.ts';

type Overall = EvaluateResult['overall'];

const metrics = (wmae: number, coverage80: number | null = null): Metrics => ({
  wmae,
  wape: 0.1,
  mase: null,
  rmse: 1,
  bias: 0,
  pinball: null,
  coverage80,
  coverage95: null,
  rows: 100,
});

/** A candidate that passes every check, but for what the test changes. */
const evaluated = (changed: Overall = {}, without: Forecaster[] = []): EvaluateResult => {
  const overall: Overall = {
    candidate: metrics(1_000, 0.8),
    naive: metrics(2_000),
    seasonal_naive: metrics(1_600),
    ...changed,
  };
  return {
    overall: Object.fromEntries(
      Object.entries(overall).filter(([name]) => !without.includes(name as Forecaster)),
    ),
    oneWeekAhead: {},
    slices: {},
    slicesNotScored: [],
    comparisons: [],
    testFirstWeek: '2025-10-10',
    testLastWeek: '2025-11-28',
    analysisRowsUri: 'file:///a/analysis-rows.jsonl',
    reportUri: 'file:///a/evaluate',
    modelCardUri: 'file:///a/evaluate/model-card.md',
  };
};

const options: GateOptions = {
  minImprovementOverBaselines: 0,
  maxRegressionAgainstChampion: 0.02,
  coverage80: [0.65, 0.95],
  maxRegressionInSlice: 0.1,
  onInconclusive: 'pass',
};

/** Decides on a first model, unless the backtest has a champion. */
const decideGate = (
  result: EvaluateResult,
  options: GateOptions,
  context: { testWeeks?: number; hasNoVersionInUse?: boolean; unit?: string } = {},
) =>
  decideIn(result, options, {
    testWeeks: 8,
    hasNoVersionInUse: result.overall.champion === undefined,
    ...context,
  });

/** Names of the checks that failed. */
const failed = (result: EvaluateResult, changed: Partial<GateOptions> = {}): string[] =>
  decideGate(result, { ...options, ...changed })
    .checks.filter(({ passed }) => !passed)
    .map(({ name }) => name);

const reasonOf = (name: string, result: EvaluateResult, changed: Partial<GateOptions> = {}) =>
  decideGate(result, { ...options, ...changed }).checks.find((check) => check.name === name)?.reason;

test('a good candidate passes; the champion is a check only when there is one', () => {
  const first = decideGate(evaluated(), options);
  expect(first.verdict).toBe('pass');
  expect(first.checks.map(({ name }) => name)).toEqual(['naive', 'seasonal_naive', 'coverage', 'slices']);
  const second = decideGate(evaluated({ champion: metrics(1_010) }), options);
  expect(second.verdict).toBe('pass');
  expect(second.checks.map(({ name }) => name)).toEqual([
    'naive',
    'seasonal_naive',
    'champion',
    'coverage',
    'slices',
  ]);
});

test('a reason has the unit of the sales', () => {
  const { checks } = decideGate(evaluated({ champion: metrics(8) }), options, {
    testWeeks: 0,
    hasNoVersionInUse: false,
    unit: 'calls',
  });
  const reasons = checks.map(({ reason }) => reason).join('; ');
  expect(reasons).toContain('WMAE 1000 calls is ');
  expect(reasons).toContain("the champion's 8.00 calls");
  expect(reasons).not.toContain('$');
});

test('one failed check fails the gate', () => {
  expect(decideGate(evaluated({ naive: metrics(999) }), options).verdict).toBe('fail');
});

test.each<[string, Overall, Partial<GateOptions>, string[]]>([
  ['equal to the naive forecast', { naive: metrics(1_000) }, {}, []],
  ['a cent above the naive forecast', { naive: metrics(999.99) }, {}, ['naive']],
  ['equal to the seasonal naive forecast', { seasonal_naive: metrics(1_000) }, {}, []],
  ['a cent above the seasonal naive forecast', { seasonal_naive: metrics(999.99) }, {}, ['seasonal_naive']],
  ['25 % below both, 25 % asked for', same(1_000 / 0.75), { minImprovementOverBaselines: 0.25 }, []],
  [
    'not quite 25 % below both, 25 % asked for',
    same(1_333),
    { minImprovementOverBaselines: 0.25 },
    ['naive', 'seasonal_naive'],
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
  ['coverage above it, without a champion', { candidate: metrics(1_000, 0.951) }, {}, []],
  [
    'coverage above it, beside a champion',
    { candidate: metrics(1_000, 0.951), champion: metrics(1_000) },
    {},
    ['coverage'],
  ],
  [
    'coverage at the upper bound, beside a champion',
    { candidate: metrics(1_000, 0.95), champion: metrics(1_000) },
    {},
    [],
  ],
  // A model answers in float32. Sales are 500 here, and ten times the candidate's error elsewhere.
  [
    'a rounding error of the sales above a baseline of no error',
    { candidate: { ...metrics(2e-4, 0.8), wape: 4e-7 }, ...same(0) },
    {},
    [],
  ],
  [
    'more than that',
    { candidate: { ...metrics(3e-4, 0.8), wape: 6e-7 }, ...same(0) },
    {},
    ['naive', 'seasonal_naive'],
  ],
  [
    'a small error above another, of small sales',
    { candidate: metrics(0.004, 0.8), ...same(0.003) },
    {},
    ['naive', 'seasonal_naive'],
  ],
  [
    'above a baseline of no error',
    { candidate: metrics(0.09, 0.8), ...same(0) },
    {},
    ['naive', 'seasonal_naive'],
  ],
  ['a rounding error above the baselines', { candidate: metrics(1e6 + 4, 0.8), ...same(1e6) }, {}, []],
  [
    'a rounding error where nothing was sold',
    { candidate: { ...metrics(1e6 + 0.4, 0.8), wape: null }, ...same(1e6) },
    {},
    [],
  ],
  [
    'more than that where nothing was sold',
    { candidate: { ...metrics(1e6 + 0.6, 0.8), wape: null }, ...same(1e6) },
    {},
    ['naive', 'seasonal_naive'],
  ],
  [
    'more than that above the baselines',
    { candidate: metrics(1e6 + 6, 0.8), ...same(1e6) },
    {},
    ['naive', 'seasonal_naive'],
  ],
  ['no coverage', { candidate: metrics(1_000, null) }, {}, ['coverage']],
])('%s', (_name, changed, changedOptions, expected) => {
  expect(failed(evaluated(changed), changedOptions)).toEqual(expected);
});

function same(wmae: number): Overall {
  return { naive: metrics(wmae), seasonal_naive: metrics(wmae) };
}

test.each<[string, EvaluateResult, string, string]>([
  ['naive', evaluated({}, ['naive']), 'naive', 'the naive forecast (last week)'],
  [
    'seasonal_naive',
    evaluated({}, ['seasonal_naive']),
    'seasonal_naive',
    'the seasonal naive forecast (last year)',
  ],
  ['the candidate', evaluated({}, ['candidate']), 'naive', 'the candidate'],
  [
    'the candidate beside a champion',
    evaluated({ champion: metrics(1_000) }, ['candidate']),
    'champion',
    'the candidate',
  ],
])('a backtest without %s fails and says whose number is missing', (_name, result, check, whose) => {
  expect(failed(result)).toContain(check);
  expect(reasonOf(check, result)).toBe(`the backtest has no WMAE of ${whose}`);
});

test('a backtest without the candidate fails every check', () => {
  const result = evaluated({ champion: metrics(1_000) }, ['candidate']);
  expect(failed(result)).toEqual(['naive', 'seasonal_naive', 'champion', 'coverage']);
});

test('the reasons name the numbers that decided', () => {
  const result = evaluated({
    candidate: metrics(1_000, 0.6),
    naive: metrics(1_250),
    seasonal_naive: metrics(800),
    champion: metrics(1_000),
  });
  expect(reasonOf('naive', result)).toBe(
    'WMAE $1000 is 20.0 % below the naive forecast (last week) with $1250',
  );
  expect(reasonOf('seasonal_naive', result, { minImprovementOverBaselines: 0.05 })).toBe(
    'WMAE $1000 is 25.0 % above the seasonal naive forecast (last year) with $800 (required: at least 5.0 % below)',
  );
  expect(reasonOf('champion', result)).toBe(
    "WMAE $1000 is equal to the champion's $1000 (allowed: at most 2.0 % above)",
  );
  expect(reasonOf('coverage', result)).toBe(
    '60.0 % of actual sales lie inside the 80 % interval (allowed: 65.0 % to 95.0 %)',
  );
  expect(reasonOf('coverage', evaluated({ candidate: metrics(1_000, 0.96) }))).toBe(
    '96.0 % of actual sales lie inside the 80 % interval (allowed: 65.0 % to 95.0 %; ' +
      'this data set has no champion, so wider ones are accepted)',
  );
  expect(reasonOf('coverage', evaluated({ candidate: metrics(1_000, null) }))).toBe(
    'the backtest has no coverage of the 80 % interval',
  );
});

test('an error of zero is no divisor, and small errors have cents', () => {
  const result = evaluated({
    candidate: metrics(0.09, 0.8),
    naive: metrics(0),
    seasonal_naive: metrics(0.1),
    champion: metrics(10),
  });
  expect(reasonOf('champion', result)).toContain("the champion's $10 ");
  expect(reasonOf('naive', result)).toBe('WMAE $0.09 is above the naive forecast (last week) with $0');
  expect(reasonOf('seasonal_naive', result)).toBe(
    'WMAE $0.09 is 10.0 % below the seasonal naive forecast (last year) with $0.10',
  );
  expect(reasonOf('naive', evaluated({ candidate: { ...metrics(0, 0.8), wape: 0 }, ...same(0) }))).toBe(
    'WMAE $0 is equal to the naive forecast (last week) with $0',
  );
});

test('a forecast is equal to itself, and a small difference has a bound', () => {
  const reason = (naive: number) => reasonOf('naive', evaluated({ naive: metrics(naive) }));
  expect(reason(1_000 - 1e-5)).toBe('WMAE $1000 is equal to the naive forecast (last week) with $1000');
  expect(reason(1_000.1)).toBe(
    'WMAE $1000 is less than 0.1 % below the naive forecast (last week) with $1000',
  );
  expect(reason(998)).toBe('WMAE $1000 is 0.2 % above the naive forecast (last week) with $998');
});

test.each([
  ['seasonal_naive', 'the seasonal naive forecast (last year)'],
  ['champion', 'the champion'],
] as const)(
  'a comparison with %s that the backtest could not make passes, and is said',
  (forecaster, label) => {
    const reason = 'no sales are known 52 weeks before the target week, for 160 of 160 rows';
    const result = { ...evaluated({}, [forecaster]), forecastersLeftOut: [{ forecaster, reason }] };
    expect(decideGate(result, options).verdict).toBe('pass');
    expect(reasonOf(forecaster, result)).toBe(`not compared with ${label}: ${reason}`);
    const names = new Set(['naive', 'seasonal_naive', forecaster, 'coverage', 'slices']);
    expect(decideGate(result, options).checks.map(({ name }) => name)).toEqual([...names]);
  },
);

test('a baseline that the backtest left out does not stand for a candidate without an error', () => {
  const forecastersLeftOut = [{ forecaster: 'naive' as const, reason: 'no sales are known' }];
  const result = { ...evaluated({}, ['candidate', 'naive']), forecastersLeftOut };
  expect(failed(result)).toContain('naive');
  expect(reasonOf('naive', result)).toBe('the backtest has no WMAE of the candidate');
});

test('intervals that are too wide fail beside a champion that the backtest left out', () => {
  const wide = evaluated({ candidate: metrics(1_000, 0.951) });
  const without = (forecaster: 'champion' | 'seasonal_naive') => ({
    ...wide,
    forecastersLeftOut: [{ forecaster, reason: 'it lacks a feature' }],
  });
  expect(failed(without('champion'))).toEqual(['coverage']);
  expect(failed(without('seasonal_naive'))).toEqual([]);
});

test('fewer test weeks than asked for are said', () => {
  expect(decideGate(evaluated(), options, { testWeeks: 8 }).checks.map(({ name }) => name)).not.toContain(
    'testWeeks',
  );
  expect(decideGate(evaluated(), options, { testWeeks: 9 }).checks.at(-1)).toEqual({
    name: 'testWeeks',
    passed: true,
    reason: 'tested on 8 of the 9 weeks asked for, because the data set has too few',
  });
});

describe('simple forecasts beside the candidate', () => {
  const losing = evaluated({ candidate: metrics(2_100, 0.8) });
  const winning = evaluated({ candidate: metrics(1_500, 0.8) });
  const champion = { champion: metrics(1_000) };
  const failedOf = (checks: { name: string; passed: boolean }[]): string[] =>
    checks.filter(({ passed }) => !passed).map(({ name }) => name);

  test('are not asked where the candidate passes', () => {
    const decision = decideGate({ ...evaluated(), simple: [winning] }, options);
    expect(decision).toEqual(decideGate(evaluated(), options));
    expect(decision.rejected).toBeUndefined();
  });

  test('take the place of a candidate that fails, the first that passes, and the decision has all', () => {
    const narrow = evaluated({ candidate: metrics(1_500, 0.1) });
    const best = evaluated({ candidate: metrics(1_300, 0.8) });
    const decision = decideGate({ ...losing, simple: [losing, narrow, winning, best] }, options);
    expect(decision).toEqual({
      ...decideGate(winning, options),
      instead: 'simple',
      rejected: decideGate(losing, options),
      simpleIndex: 2,
      simple: [losing, narrow, winning].map((one) => decideGate(one, options)),
    });
    expect(decision.verdict).toBe('pass');
    expect(failedOf(decision.rejected?.checks ?? [])).toEqual(['naive', 'seasonal_naive']);
  });

  test('need not be better than themselves', () => {
    const demanding = { ...options, minImprovementOverBaselines: 0.4 };
    expect(decideGate(winning, demanding).verdict).toBe('fail');
    expect(decideGate({ ...losing, simple: [winning] }, demanding).verdict).toBe('pass');
  });

  test('are a first model although all of them fail: the first that loses to no baseline, else the first', () => {
    const narrow = evaluated({ candidate: metrics(1_500, 0.1) });
    const one = decideGate({ ...losing, simple: [losing, narrow, narrow] }, options);
    expect(one).toMatchObject({ verdict: 'pass', instead: 'simple', simpleIndex: 1 });
    expect(failedOf(one.checks)).toEqual(['coverage']);
    const losingToOne = evaluated({ candidate: metrics(1_700, 0.8) });
    const other = decideGate({ ...losing, simple: [losing, losingToOne] }, options);
    expect(other).toMatchObject({ verdict: 'pass', simpleIndex: 0 });
    expect(failedOf(other.checks)).toEqual(['naive', 'seasonal_naive']);
    const asking = { ...options, onInconclusive: 'approval' as const };
    expect(decideGate({ ...losing, simple: [narrow] }, asking).verdict).toBe('needsApproval');
  });

  test('without any of them a first model that fails is rejected', () => {
    expect(decideGate({ ...losing, simple: [] }, options)).toEqual(decideGate(losing, options));
    expect(decideGate(losing, options).verdict).toBe('fail');
  });

  test('replace a champion only if one passes', () => {
    const both = (wmae: number) => evaluated({ ...champion, candidate: metrics(wmae, 0.8) });
    const kept = decideGate({ ...both(2_100), simple: [both(1_500), both(1_021)] }, options);
    const tried = [both(1_500), both(1_021)].map((one) => decideGate(one, options));
    expect(kept).toEqual({ ...decideGate(both(2_100), options), simple: tried });
    expect(kept.verdict).toBe('fail');
    const replaced = decideGate({ ...both(2_100), simple: [both(1_500), both(1_020)] }, options);
    expect(replaced).toMatchObject({ verdict: 'pass', instead: 'simple', simpleIndex: 1 });
  });

  test('a champion that the backtest has not compared is not replaced by one that fails', () => {
    expect(decideGate({ ...losing, simple: [losing] }, options, { hasNoVersionInUse: false }).verdict).toBe(
      'fail',
    );
    expect(decideGate({ ...losing, simple: [winning] }, options, { hasNoVersionInUse: false }).verdict).toBe(
      'pass',
    );
  });

  test('wait for a person where the comparison is too small to be sure', () => {
    const unsure = { slice: 'overall', against: 'naive' as const, rows: 9, series: 1, weeks: 8 };
    const simple = { ...winning, comparisons: [{ ...unsure, difference: 0, lower: -0.3, upper: 0.3 }] };
    const asking = { ...options, onInconclusive: 'approval' as const };
    const decision = decideGate({ ...losing, simple: [simple, winning] }, asking);
    expect(decision).toMatchObject({ verdict: 'needsApproval', simpleIndex: 0 });
    // So does the candidate with wider intervals.
    const narrow = evaluated({ candidate: metrics(1_500, 0.1) });
    const wide = decideGate({ ...narrow, wide: simple, simple: [winning] }, asking);
    expect(wide).toMatchObject({ verdict: 'needsApproval', instead: 'wide' });
  });
});

describe('the candidate with wider intervals', () => {
  const narrow = evaluated({ candidate: metrics(1_000, 0.5) });
  const wide = evaluated({ candidate: metrics(1_000, 0.8) });
  const simple = evaluated({ candidate: metrics(1_500, 0.8) });
  const beside = (of: EvaluateResult): EvaluateResult => ({
    ...of,
    overall: { ...of.overall, champion: metrics(1_000) },
  });

  test.each([
    ['a first model', (of: EvaluateResult) => of],
    ['a later one', beside],
  ])(
    'takes the place of %s whose intervals alone are too narrow, before any simple forecast',
    (_name, of) => {
      const decision = decideGate({ ...of(narrow), wide: of(wide), simple: [of(simple)] }, options);
      expect(decision).toMatchObject({ verdict: 'pass', instead: 'wide', rejected: { verdict: 'fail' } });
      expect(decision.checks.every(({ passed }) => passed)).toBe(true);
    },
  );

  test('is not asked where something else fails, too', () => {
    const worse = { ...narrow, overall: { ...narrow.overall, naive: metrics(999) } };
    expect(decideGate({ ...worse, wide, simple: [simple] }, options).instead).toBe('simple');
  });

  test('gives way to a simple forecast that passes where its own intervals are still too narrow', () => {
    const decision = decideGate({ ...narrow, wide: narrow, simple: [simple] }, options);
    expect(decision).toMatchObject({ verdict: 'pass', instead: 'simple' });
  });

  test('is a first model before simple forecasts that fail, too, and its failed check stays', () => {
    const failing = evaluated({ candidate: metrics(1_500, 0.1) });
    const all = { ...narrow, wide: narrow, simple: [failing] };
    const decision = decideGate(all, options);
    expect(decision).toMatchObject({ verdict: 'pass', instead: 'wide' });
    expect(decision.checks.filter(({ passed }) => !passed).map(({ name }) => name)).toEqual(['coverage']);
    expect(decideGate(all, options, { hasNoVersionInUse: false })).toMatchObject({ verdict: 'fail' });
    expect(decideGate(all, { ...options, onInconclusive: 'approval' }).verdict).toBe('needsApproval');
    // Too narrow and a loss in a slice: then it is no better than the simple one.
    const loss = { slice: 'holiday=true', against: 'naive' as const, rows: 9, series: 9, weeks: 8 };
    const wide = { ...narrow, comparisons: [{ ...loss, difference: 0.3, lower: 0.2, upper: 0.4 }] };
    expect(decideGate({ ...all, wide }, options).instead).toBe('simple');
  });
});

describe('slice by slice', () => {
  /** A comparison with the naive forecast over 8 weeks; the interval reaches from lower to upper. */
  const comparison = (lower: number, upper: number, changed: Partial<Comparison> = {}): Comparison => ({
    slice: 'holiday=true',
    against: 'naive',
    difference: (lower + upper) / 2,
    lower,
    upper,
    rows: 100,
    series: 20,
    weeks: 8,
    ...changed,
  });
  const decide = (comparisons: Comparison[], changed: Partial<GateOptions> = {}) =>
    decideGate({ ...evaluated(), comparisons }, { ...options, ...changed });

  test.each<[string, Comparison, Partial<GateOptions>, string]>([
    ['wholly below 0', comparison(-0.3, -0.001), {}, 'better'],
    ['up to 0', comparison(-0.3, 0), {}, 'notWorse'],
    ['around 0, within the margin', comparison(-0.1, 0.1), {}, 'notWorse'],
    ['above 0, within the margin', comparison(0.01, 0.1), {}, 'notWorse'],
    ['over the margin at its upper end', comparison(-0.1, 0.101), {}, 'inconclusive'],
    ['on the margin at its lower end', comparison(0.1, 0.3), {}, 'inconclusive'],
    ['wholly above the margin', comparison(0.101, 0.3), {}, 'worse'],
    ['wholly above a margin of 0', comparison(0.001, 0.1), { maxRegressionInSlice: 0 }, 'worse'],
    ['within a wide margin', comparison(-0.1, 0.3), { maxRegressionInSlice: 0.3 }, 'notWorse'],
    ['a rounding error above a margin of 0', comparison(1e-8, 4e-7), { maxRegressionInSlice: 0 }, 'notWorse'],
    ['up to the largest rounding error', comparison(-0.1, 5e-7), { maxRegressionInSlice: 0 }, 'notWorse'],
    ['from the largest rounding error', comparison(5e-7, 0.1), { maxRegressionInSlice: 0 }, 'inconclusive'],
    ['of one week, far below', comparison(-0.5, -0.4, { weeks: 1 }), {}, 'inconclusive'],
    ['of one week, far above', comparison(0.4, 0.5, { weeks: 1 }), {}, 'inconclusive'],
    ['of two weeks, far above', comparison(0.4, 0.5, { weeks: 2 }), {}, 'worse'],
    // Overall the margin is that of the check on the errors themselves.
    ['overall, just above the naive forecast', comparison(0.001, 0.01, { slice: 'overall' }), {}, 'worse'],
    ['overall, around the naive forecast', comparison(-0.1, 0.01, { slice: 'overall' }), {}, 'inconclusive'],
    [
      'overall, not surely as far below the naive forecast as is asked for',
      comparison(-0.3, -0.1, { slice: 'overall' }),
      { minImprovementOverBaselines: 0.2 },
      'inconclusive',
    ],
    [
      "overall, within the champion's margin",
      comparison(-0.1, 0.02, { slice: 'overall', against: 'champion' }),
      {},
      'notWorse',
    ],
    [
      "overall, above the champion's margin",
      comparison(0.021, 0.05, { slice: 'overall', against: 'champion' }),
      {},
      'worse',
    ],
  ])('%s', (_name, one, changed, outcome) => {
    expect(decide([one], changed).comparisons.map((found) => found.outcome)).toEqual([outcome]);
  });

  test('a candidate that is clearly worse in one slice fails, whatever gate.onInconclusive is', () => {
    const comparisons = [comparison(-0.2, -0.1), comparison(0.2, 0.3, { slice: 'volume=low' })];
    for (const onInconclusive of ['pass', 'approval'] as const) {
      expect(decide(comparisons, { onInconclusive }).verdict).toBe('fail');
    }
    expect(decide(comparisons).checks.at(-1)).toEqual({
      name: 'slices',
      passed: false,
      reason:
        'clearly within its margin in 1 of 2 comparisons, overall and by slice; ' +
        'clearly worse in 1: volume=low against naive (+20.0 % to +30.0 %, margin +10.0 %)',
    });
  });

  test('an inconclusive slice passes and is named, or requires approval where gate.onInconclusive asks for it', () => {
    const comparisons = [comparison(-0.2, -0.1), comparison(-0.2, 0.3)];
    const passed = decide(comparisons);
    expect(passed.verdict).toBe('pass');
    expect(passed.checks.at(-1)?.reason).toBe(
      'clearly within its margin in 1 of 2 comparisons, overall and by slice; ' +
        'inconclusive in 1: holiday=true against naive (-20.0 % to +30.0 %, margin +10.0 %)',
    );
    expect(decide(comparisons, { onInconclusive: 'pass' }).verdict).toBe('pass');
    expect(decide(comparisons, { onInconclusive: 'approval' }).verdict).toBe('needsApproval');
    expect(decide([comparison(-0.2, -0.1)], { onInconclusive: 'approval' }).verdict).toBe('pass');
  });

  test('a check that fails is not left to a person', () => {
    const result = { ...evaluated({ naive: metrics(999) }), comparisons: [comparison(-0.2, 0.3)] };
    expect(decideGate(result, { ...options, onInconclusive: 'approval' }).verdict).toBe('fail');
  });

  test('the reason names the three worst slices of many', () => {
    const comparisons = [0.2, 0.5, 0.3, 0.4, 0.6].map((upper, n) =>
      comparison(-0.2, upper, { slice: `horizon=${n + 1}`, ...(n === 0 ? { weeks: 1 } : {}) }),
    );
    expect(decide(comparisons).checks.at(-1)?.reason).toBe(
      'clearly within its margin in 0 of 5 comparisons, overall and by slice; inconclusive in 5: ' +
        'horizon=5 against naive (-20.0 % to +60.0 %, margin +10.0 %), ' +
        'horizon=2 against naive (-20.0 % to +50.0 %, margin +10.0 %), ' +
        'horizon=4 against naive (-20.0 % to +40.0 %, margin +10.0 %) and 2 more',
    );
    expect(decide(comparisons.slice(0, 1)).checks.at(-1)?.reason).toContain(
      'horizon=1 against naive (a single week)',
    );
  });

  test('the worst comparison is the one farthest above its own margin', () => {
    const comparisons = [comparison(0.11, 0.15), comparison(0.09, 0.11, { slice: 'overall' })];
    expect(decide(comparisons).checks.at(-1)?.reason).toMatch(/worse in 2: overall .*, holiday=true /);
    expect(decide(comparisons.toReversed()).checks.at(-1)?.reason).toMatch(/worse in 2: overall /);
  });

  test('a slice within its margin counts as one, and two weeks are enough to give its interval', () => {
    const comparisons = [comparison(-0.1, 0.05), comparison(0, 0.3, { weeks: 2, slice: 'volume=low' })];
    expect(decide(comparisons).checks.at(-1)?.reason).toBe(
      'clearly within its margin in 1 of 2 comparisons, overall and by slice; ' +
        'inconclusive in 1: volume=low against naive (+0.0 % to +30.0 %, margin +10.0 %)',
    );
  });

  test('slices that were not scored are named and do not fail', () => {
    const slicesNotScored = [{ slice: 'new_series=true', reason: 'no row' }];
    const decided = decideGate({ ...evaluated(), comparisons: [], slicesNotScored }, options);
    expect(decided.verdict).toBe('pass');
    expect(decided.checks.at(-1)?.reason).toContain('; not scored: new_series=true (no row)');
  });

  test('a reason why slices were not scored is given once, with the first slices', () => {
    const entry = (slice: string, reason: string) => ({ slice, reason });
    const slicesNotScored = [
      ...[1, 2, 3, 4, 5].map((n) => entry(`horizon=${n}`, 'no error there')),
      ...['holiday=true', 'new_series=true', 'volume=low'].map((slice) => entry(slice, 'no row')),
    ];
    const decided = decideGate({ ...evaluated(), comparisons: [], slicesNotScored }, options);
    expect(decided.checks.at(-1)?.reason).toMatch(
      /; not scored: horizon=1, horizon=2, horizon=3 and 2 more \(no error there\), holiday=true, new_series=true, volume=low \(no row\)$/,
    );
  });
});
