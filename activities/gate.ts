/** The gate: numbers of the backtest in, a decision with its reasons out. */
import type { EvaluateResult } from '../contracts/jobs.ts';
import type { GateCheck, GateDecision, GateOptions } from '../contracts/pipeline.ts';

const BASELINES = [
  ['last_week', 'last week'],
  ['same_week_last_year', 'the same week last year'],
] as const;

/**
 * Passes when the candidate's WMAE over all horizons is below each baseline's and not above the champion's (both
 * within the options' margins), and its 80 % interval holds about 80 % of the test weeks' sales.
 */
export function decideGate(evaluated: EvaluateResult, options: GateOptions): GateDecision {
  const checks = [
    ...BASELINES.map(([baseline, words]) => checkBaseline(evaluated, options, baseline, words)),
    ...checkChampion(evaluated, options),
    checkCoverage(evaluated, options),
  ];
  return { verdict: checks.every((check) => check.passed) ? 'pass' : 'fail', checks };
}

function checkBaseline(
  { overall }: EvaluateResult,
  options: GateOptions,
  baseline: (typeof BASELINES)[number][0],
  words: string,
): GateCheck {
  const candidate = overall.candidate?.wmae;
  const other = overall[baseline]?.wmae;
  if (candidate === undefined || other === undefined) return missing(baseline, candidate, words);
  const limit = other * (1 - options.minImprovementOverBaselines);
  const passed = candidate <= limit;
  const margin =
    options.minImprovementOverBaselines > 0
      ? ` (at least ${percent(options.minImprovementOverBaselines)} below is asked for)`
      : '';
  return {
    name: baseline,
    passed,
    reason: `WMAE ${usd(candidate)} is ${comparison(candidate, other)} that of ${words}, ${usd(other)}${margin}`,
  };
}

function checkChampion({ overall }: EvaluateResult, options: GateOptions): GateCheck[] {
  const champion = overall.champion?.wmae;
  // A first model of its data set has no champion to be compared with.
  if (champion === undefined) return [];
  const candidate = overall.candidate?.wmae;
  if (candidate === undefined) return [missing('champion', candidate, 'the champion')];
  return [
    {
      name: 'champion',
      passed: candidate <= champion * (1 + options.maxRegressionAgainstChampion),
      reason:
        `WMAE ${usd(candidate)} is ${comparison(candidate, champion)} the champion's ${usd(champion)} ` +
        `(at most ${percent(options.maxRegressionAgainstChampion)} above is allowed)`,
    },
  ];
}

function checkCoverage({ overall }: EvaluateResult, { coverage80: [low, high] }: GateOptions): GateCheck {
  const coverage = overall.candidate?.coverage80 ?? null;
  if (coverage === null) {
    return { name: 'coverage', passed: false, reason: 'the backtest holds no coverage of the 80 % interval' };
  }
  return {
    name: 'coverage',
    passed: coverage >= low && coverage <= high,
    reason: `${percent(coverage)} of actual sales lie inside the 80 % interval (allowed: ${percent(low)} to ${percent(high)})`,
  };
}

const missing = (name: string, candidate: number | undefined, words: string): GateCheck => ({
  name,
  passed: false,
  reason: `the backtest holds no WMAE of ${candidate === undefined ? 'the candidate' : words}`,
});

function comparison(a: number, b: number): string {
  if (a === b) return 'equal to';
  return `${percent(Math.abs(a / b - 1))} ${a < b ? 'below' : 'above'}`;
}

const usd = (value: number): string => `$${value.toFixed(0)}`;
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
