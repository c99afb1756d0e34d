/** Promotion gate: decides on the backtest's numbers whether the candidate may get traffic. */
import type { Comparison, EvaluateResult } from '../contracts/jobs.ts';
import { percent, signedPercent, usd } from '../contracts/number-format.ts';
import type { GateCheck, GateComparison, GateDecision } from '../contracts/gate.ts';
import type { GateOptions } from '../contracts/pipeline.ts';

const BASELINES = [
  ['naive', 'the naive forecast (last week)'],
  ['seasonal_naive', 'the seasonal naive forecast (last year)'],
] as const;

/** Minimum number of target weeks; a single week says nothing about others, however many series it has. */
const MIN_WEEKS = 2;
/** Number of slices that a sentence names; the table has all. */
const NAMED_SLICES = 3;

/**
 * Passes when the candidate's WMAE over all horizons is below each baseline's and not above the champion's (both
 * within the options' margins), its 80 % interval holds about 80 % of the test weeks' sales, and it is in no slice
 * clearly worse than one of them. docs/evaluation.md explains the rules.
 */
export function decideGate(backtest: EvaluateResult, options: GateOptions): GateDecision {
  const comparisons = backtest.comparisons.map((comparison) => assess(comparison, options));
  const checks = [
    ...BASELINES.map(([baseline, words]) => checkBaseline(backtest, options, baseline, words)),
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
  const named = (outcome: GateComparison['outcome']) => nameSlices(comparisons, outcome);
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
function nameSlices(comparisons: GateComparison[], wanted: GateComparison['outcome']): string {
  const found = comparisons.filter(({ outcome }) => outcome === wanted);
  if (found.length === 0) return '';
  // The worst first.
  const names = found
    .toSorted((a, b) => b.difference - b.margin - (a.difference - a.margin))
    .slice(0, NAMED_SLICES)
    .map(
      ({ slice, against, lower, upper, margin, weeks }) =>
        `${slice} against ${against} (` +
        (weeks < MIN_WEEKS
          ? 'of a single week)'
          : `${signedPercent(lower)} to ${signedPercent(upper)}, margin ${signedPercent(margin)})`),
    );
  const more = found.length > names.length ? ` and ${found.length - names.length} more` : '';
  return `${found.length}: ${names.join(', ')}${more}`;
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
      ? ` (required: at least ${percent(options.minImprovementOverBaselines)} below)`
      : '';
  return {
    name: baseline,
    passed,
    reason: `WMAE ${usd(candidate)} is ${comparison(candidate, other)} that of ${words}, ${usd(other)}${margin}`,
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
        `WMAE ${usd(candidate)} is ${comparison(candidate, champion)} the champion's ${usd(champion)} ` +
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

const missing = (name: string, candidate: number | undefined, words: string): GateCheck => ({
  name,
  passed: false,
  reason: `the backtest has no WMAE of ${candidate === undefined ? 'the candidate' : words}`,
});

function comparison(a: number, b: number): string {
  if (a === b) return 'equal to';
  return `${percent(Math.abs(a / b - 1))} ${a < b ? 'below' : 'above'}`;
}
