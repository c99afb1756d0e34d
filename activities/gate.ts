/** Promotion gate: decides on the backtest's numbers whether the candidate may get traffic. */
import type { Comparison, Evaluated, EvaluateResult, Forecaster } from '../contracts/jobs.ts';
import { weeksFromTo } from './weeks.ts';
import { percent, signedPercent, usd } from '../contracts/number-format.ts';
import type { GateCheck, GateComparison, GateDecision, GateJudgement } from '../contracts/gate.ts';
import type { GateOptions } from '../contracts/pipeline.ts';

const BASELINES = [
  ['naive', 'the naive forecast (last week)'],
  ['seasonal_naive', 'the seasonal naive forecast (last year)'],
] as const;

/**
 * Models answer in float32, so a simple forecast differs from itself as a baseline: errors within a millionth of each other,
 * or within half a cent, are equal.
 */
const EQUAL_SHARE = 1e-6;
const EQUAL_USD = 0.005;

/** Required lead of a simple forecast: none of them can be far better than the best of them. */
const NO_LEAD = 0;

/** Amounts below this are shown with cents. */
const SMALL_USD = 10;

/** Minimum number of target weeks: a single week says nothing about others, even with many series. */
const MIN_WEEKS = 2;
/** Number of slices that a reason names; the table has all. */
const NAMED_SLICES = 3;

/**
 * Decides on the candidate. Where its intervals alone fail, the gate judges it with wider ones, and then, as wherever it
 * fails, the simple forecast, all by the same rules. Without a champion one of them passes in any case, and its failed checks
 * are said: nobody is left without forecasts. docs/evaluation.md explains the rules.
 * @param testWeeks number of test weeks that the run asked for
 */
export function decideGate(
  { simple, wide, ...candidate }: EvaluateResult,
  options: GateOptions,
  testWeeks?: number,
): GateDecision {
  const rejected = judge(candidate, options, testWeeks);
  if (rejected.verdict !== 'fail') return rejected;
  const mustForecast = !hasChampion(candidate);
  if (wide !== undefined && failsByCoverageAlone(rejected)) {
    const ofWide = judge(wide, options, testWeeks);
    const isTaken = ofWide.verdict !== 'fail' || (mustForecast && failsByCoverageAlone(ofWide));
    if (isTaken) return { ...taken(ofWide), instead: 'wide', rejected };
  }
  if (simple === undefined) return rejected;
  const ofSimple = judge(simple, { ...options, minImprovementOverBaselines: NO_LEAD }, testWeeks);
  const isTaken = ofSimple.verdict !== 'fail' || mustForecast;
  return isTaken ? { ...taken(ofSimple), instead: 'simple', rejected } : rejected;
}

const taken = (judgement: GateJudgement): GateJudgement =>
  judgement.verdict === 'fail' ? { ...judgement, verdict: 'pass' } : judgement;

const failsByCoverageAlone = ({ checks }: GateJudgement): boolean =>
  checks.every(({ name, passed }) => passed || name === 'coverage');

/**
 * Passes when the candidate's WMAE over all horizons is below each baseline's and not above the champion's (both
 * within the options' margins), when its 80 % interval holds about 80 % of the test weeks' sales, and when it is not
 * clearly worse than any of them in any slice. What could not be told passes, and is said.
 */
function judge(backtest: Evaluated, options: GateOptions, testWeeks: number | undefined): GateJudgement {
  const comparisons = backtest.comparisons.map((comparison) => assess(comparison, options));
  const checks = [
    ...BASELINES.map(([baseline, label]) => checkBaseline(backtest, options, baseline, label)),
    ...checkChampion(backtest, options),
    checkCoverage(backtest, options),
    checkSlices(comparisons, backtest),
    ...checkTestWeeks(backtest, testWeeks),
  ];
  const verdict = checks.every((check) => check.passed) ? verdictOf(comparisons, options) : 'fail';
  return { verdict, checks, comparisons };
}

/** True when the data set has a champion, although it may be left out of the comparison. */
const hasChampion = ({ overall, forecastersLeftOut = [] }: Evaluated): boolean =>
  overall.champion !== undefined || forecastersLeftOut.some(({ forecaster }) => forecaster === 'champion');

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
  if (upper <= margin + EQUAL_SHARE) return 'notWorse';
  return lower > margin + EQUAL_SHARE ? 'worse' : 'inconclusive';
}

function checkSlices(comparisons: GateComparison[], { slicesNotScored }: Evaluated): GateCheck {
  const named = (outcome: GateComparison['outcome']) => describeSlices(comparisons, outcome);
  const worse = named('worse');
  const inconclusive = named('inconclusive');
  const fine = comparisons.filter(({ outcome }) => outcome === 'better' || outcome === 'notWorse').length;
  const notScored = describeNotScored(slicesNotScored);
  return {
    name: 'slices',
    passed: worse === '',
    reason: [
      `clearly within its margin in ${fine} of ${comparisons.length} comparisons, overall and by slice`,
      ...(worse === '' ? [] : [`clearly worse in ${worse}`]),
      ...(inconclusive === '' ? [] : [`inconclusive in ${inconclusive}`]),
      ...(notScored === '' ? [] : [`not scored: ${notScored}`]),
    ].join('; '),
  };
}

/** Returns for example `holiday=true, new_series=true (no row)`: each reason once, with the first slices. */
function describeNotScored(slicesNotScored: Evaluated['slicesNotScored']): string {
  return [...new Set(slicesNotScored.map(({ reason }) => reason))]
    .map((reason) => {
      const slices = slicesNotScored.filter((entry) => entry.reason === reason).map(({ slice }) => slice);
      const more = slices.length - NAMED_SLICES;
      const named = slices.slice(0, NAMED_SLICES);
      return `${named.join(', ')}${more > 0 ? ` and ${more} more` : ''} (${reason})`;
    })
    .join(', ');
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
  backtest: Evaluated,
  options: GateOptions,
  baseline: (typeof BASELINES)[number][0],
  label: string,
): GateCheck {
  const { overall } = backtest;
  const candidate = overall.candidate?.wmae;
  const other = overall[baseline]?.wmae;
  if (candidate === undefined || other === undefined) {
    return notCompared(backtest, baseline, label) ?? missing(baseline, candidate, label);
  }
  const limit = other * (1 - options.minImprovementOverBaselines);
  const passed = isAtMost(candidate, limit);
  const requirement =
    options.minImprovementOverBaselines > 0
      ? ` (required: at least ${percent(options.minImprovementOverBaselines)} below)`
      : '';
  return {
    name: baseline,
    passed,
    reason: `WMAE ${amount(candidate)} is ${aboveOrBelow(candidate, other)} ${label} with ${amount(other)}${requirement}`,
  };
}

function checkChampion(backtest: Evaluated, options: GateOptions): GateCheck[] {
  const { overall } = backtest;
  const champion = overall.champion?.wmae;
  if (champion === undefined) {
    const check = notCompared(backtest, 'champion', 'the champion');
    // The first model of a data set has no champion.
    return check === null ? [] : [check];
  }
  const candidate = overall.candidate?.wmae;
  if (candidate === undefined) return [missing('champion', candidate, 'the champion')];
  return [
    {
      name: 'champion',
      passed: isAtMost(candidate, champion * (1 + options.maxRegressionAgainstChampion)),
      reason:
        `WMAE ${amount(candidate)} is ${aboveOrBelow(candidate, champion)} the champion's ${amount(champion)} ` +
        `(allowed: at most ${percent(options.maxRegressionAgainstChampion)} above)`,
    },
  ];
}

function checkCoverage(backtest: Evaluated, { coverage80: [low, high] }: GateOptions): GateCheck {
  const coverage = backtest.overall.candidate?.coverage80 ?? null;
  if (coverage === null) {
    return { name: 'coverage', passed: false, reason: 'the backtest has no coverage of the 80 % interval' };
  }
  const isTooWide = coverage > high;
  // An interval that is too wide misleads less than no forecast at all.
  const isAccepted = isTooWide && !hasChampion(backtest);
  return {
    name: 'coverage',
    passed: (coverage >= low && !isTooWide) || isAccepted,
    reason:
      `${percent(coverage)} of actual sales lie inside the 80 % interval (allowed: ${percent(low)} to ${percent(high)}` +
      `${isAccepted ? '; no champion is in use, so wider ones are accepted' : ''})`,
  };
}

/** Tells that the data had too few weeks for the test that was asked for. */
function checkTestWeeks({ testFirstWeek, testLastWeek }: Evaluated, asked: number | undefined): GateCheck[] {
  const tested = weeksFromTo(testFirstWeek, testLastWeek);
  if (asked === undefined || tested >= asked) return [];
  const reason = `tested on ${tested} of the ${asked} weeks asked for, because the data set has too few`;
  return [{ name: 'testWeeks', passed: true, reason }];
}

/** Returns the check of a forecaster that the backtest left out, or null where it is simply absent. */
function notCompared(
  { overall, forecastersLeftOut = [] }: Evaluated,
  name: Forecaster,
  label: string,
): GateCheck | null {
  const entry = forecastersLeftOut.find(({ forecaster }) => forecaster === name);
  if (entry === undefined || overall.candidate === undefined) return null;
  return { name, passed: true, reason: `not compared with ${label}: ${entry.reason}` };
}

/** Small errors with their cents: those of a series of a few units would all be $0 or $1. */
const amount = (value: number): string =>
  value > 0 && value < SMALL_USD ? `$${value.toFixed(2)}` : usd(value);

const isAtMost = (error: number, limit: number): boolean =>
  error <= limit + Math.max(EQUAL_USD, EQUAL_SHARE * limit);

const missing = (name: string, candidate: number | undefined, label: string): GateCheck => ({
  name,
  passed: false,
  reason: `the backtest has no WMAE of ${candidate === undefined ? 'the candidate' : label}`,
});

function aboveOrBelow(a: number, b: number): string {
  if (a === b) return 'equal to';
  // Nothing is a percentage of an error of zero.
  if (b === 0) return 'above';
  return `${percent(Math.abs(a / b - 1))} ${a < b ? 'below' : 'above'}`;
}
