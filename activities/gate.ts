/** Promotion gate: decides on the backtest's numbers whether the candidate may get traffic. */
import type { Comparison, EvaluateResult } from '../contracts/jobs.ts';
import { percent, signedPercent, usd } from '../contracts/number-format.ts';
import type { GateCheck, GateComparison, GateDecision } from '../contracts/gate.ts';
import type { GateOptions } from '../contracts/pipeline.ts';

const BASELINES = [
  ['naive', 'the naive forecast (last week)'],
  ['seasonal_naive', 'the seasonal naive forecast (last year)'],
] as const;

/** Minimum number of target weeks: a single week says nothing about others, even with many series. */
const MIN_WEEKS = 2;
/** Number of slices that a reason names; the table has all. */
const NAMED_SLICES = 3;

/**
 * Passes when the candidate's WMAE over all horizons is below each baseline's and not above the champion's (both
 * within the options' margins), when its 80 % interval holds about 80 % of the test weeks' sales, and when it is not
 * clearly worse than any of them in any slice. docs/evaluation.md explains the rules.
 */
export function decideGate(backtest: EvaluateResult, options: GateOptions): GateDecision {
  const comparisons = backtest.comparisons.map((comparison) => assess(comparison, options));
  const checks = [
    ...BASELINES.map(([baseline, label]) => checkBaseline(backtest, options, baseline, label)),
    ...checkChampion(backtest, options),
    checkCoverage(backtest, options),
    checkSlices(comparisons, backtest),
  ];
  const verdict = checks.every((check) => check.passed) ? verdictOf(comparisons, options) : 'fail';
  return { verdict, checks, comparisons };
}

function verdictOf(comparisons: GateComparison[], options: GateOptions): 'pass' | 'needsApproval' {
  const isSure = comparisons.every(({ outcome }) => outcome !== 'inconclusive');
  return isSure || options.onInconclusive !== 'approval' ? 'pass' : 'needsApproval';
}

function assess(comparison: Comparison, options: GateOptions): GateComparison {
  const margin = marginOf(comparison, options);
  return { ...comparison, margin, outcome: outcomeOf(comparison, margin) };
}

function marginOf({ slice, against }: Comparison, options: GateOptions): number {
  if (slice !== 'overall') return options.maxRegressionInSlice;
  return against === 'champion' ? options.maxRegressionAgainstChampion : -options.minImprovementOverBaselines;
}

function outcomeOf({ lower, upper, weeks }: Comparison, margin: number): GateComparison['outcome'] {
  if (weeks < MIN_WEEKS) return 'inconclusive';
  if (upper < Math.min(0, margin)) return 'better';
  if (upper <= margin) return 'notWorse';
  return lower > margin ? 'worse' : 'inconclusive';
}

function checkSlices(comparisons: GateComparison[], { slicesNotScored }: EvaluateResult): GateCheck {
  const named = (outcome: GateComparison['outcome']) => describeSlices(comparisons, outcome);
  const worse = named('worse');
  const inconclusive = named('inconclusive');
  const fine = comparisons.filter(({ outcome }) => outcome === 'better' || outcome === 'notWorse').length;
  const notScored = slicesNotScored.map(({ slice, reason }) => `${slice} (${reason})`);
  return {
    name: 'slices',
    passed: worse === '',
    reason: [
      `clearly within its margin in ${fine} of ${comparisons.length} comparisons, overall and by slice`,
      ...(worse === '' ? [] : [`clearly worse in ${worse}`]),
      ...(inconclusive === '' ? [] : [`inconclusive in ${inconclusive}`]),
      ...(notScored.length === 0 ? [] : [`not scored: ${notScored.join(', ')}`]),
    ].join('; '),
  };
}

/** Returns for example `1: holiday=true against naive (-2.0 % to +14.0 %, margin +10.0 %)`. */
function describeSlices(comparisons: GateComparison[], wanted: GateComparison['outcome']): string {
  const found = comparisons.filter(({ outcome }) => outcome === wanted);
  if (found.length === 0) return '';
  const worstFirst = found
    .toSorted((a, b) => b.difference - b.margin - (a.difference - a.margin))
    .slice(0, NAMED_SLICES)
    .map(({ slice, against, lower, upper, margin, weeks }) => {
      const interval = `${signedPercent(lower)} to ${signedPercent(upper)}, margin ${signedPercent(margin)}`;
      return `${slice} against ${against} (${weeks < MIN_WEEKS ? 'a single week' : interval})`;
    });
  const more = found.length - worstFirst.length;
  return `${found.length}: ${worstFirst.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function checkBaseline(
  { overall }: EvaluateResult,
  options: GateOptions,
  baseline: (typeof BASELINES)[number][0],
  label: string,
): GateCheck {
  const candidate = overall.candidate?.wmae;
  const other = overall[baseline]?.wmae;
  if (candidate === undefined || other === undefined) return missing(baseline, candidate, label);
  const limit = other * (1 - options.minImprovementOverBaselines);
  const passed = candidate <= limit;
  const requirement =
    options.minImprovementOverBaselines > 0
      ? ` (required: at least ${percent(options.minImprovementOverBaselines)} below)`
      : '';
  return {
    name: baseline,
    passed,
    reason: `WMAE ${usd(candidate)} is ${aboveOrBelow(candidate, other)} ${label} with ${usd(other)}${requirement}`,
  };
}

function checkChampion({ overall }: EvaluateResult, options: GateOptions): GateCheck[] {
  const champion = overall.champion?.wmae;
  // The first model of a data set has no champion.
  if (champion === undefined) return [];
  const candidate = overall.candidate?.wmae;
  if (candidate === undefined) return [missing('champion', candidate, 'the champion')];
  return [
    {
      name: 'champion',
      passed: candidate <= champion * (1 + options.maxRegressionAgainstChampion),
      reason:
        `WMAE ${usd(candidate)} is ${aboveOrBelow(candidate, champion)} the champion's ${usd(champion)} ` +
        `(allowed: at most ${percent(options.maxRegressionAgainstChampion)} above)`,
    },
  ];
}

function checkCoverage({ overall }: EvaluateResult, { coverage80: [low, high] }: GateOptions): GateCheck {
  const coverage = overall.candidate?.coverage80 ?? null;
  if (coverage === null) {
    return { name: 'coverage', passed: false, reason: 'the backtest has no coverage of the 80 % interval' };
  }
  return {
    name: 'coverage',
    passed: coverage >= low && coverage <= high,
    reason: `${percent(coverage)} of actual sales lie inside the 80 % interval (allowed: ${percent(low)} to ${percent(high)})`,
  };
}

const missing = (name: string, candidate: number | undefined, label: string): GateCheck => ({
  name,
  passed: false,
  reason: `the backtest has no WMAE of ${candidate === undefined ? 'the candidate' : label}`,
});

function aboveOrBelow(a: number, b: number): string {
  if (a === b) return 'equal to';
  return `${percent(Math.abs(a / b - 1))} ${a < b ? 'below' : 'above'}`;
}
