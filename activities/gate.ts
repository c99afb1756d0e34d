/** Promotion gate: decides on the backtest's numbers whether the candidate may get traffic. */
import type { Comparison, Evaluated, EvaluateResult, Forecaster, Metrics } from '../contracts/jobs.ts';
import { GATE_BASELINES, FORECASTER_LABELS } from '../contracts/jobs.ts';
import { weeksFromTo } from './weeks.ts';
import { amount, percent, signedPercent } from '../contracts/number-format.ts';
import type { GateCheck, GateComparison, GateDecision, GateJudgement } from '../contracts/gate.ts';
import type { GateOptions } from '../contracts/pipeline.ts';

/**
 * Models answer in float32, so a simple forecast differs from itself as a baseline: errors that differ by less than half
 * a millionth of themselves, or of the sales, are equal.
 */
const EQUAL_SHARE = 5e-7;

/** Lead over the baselines that a simple forecast needs: none, because the baselines are simple forecasts themselves. */
const NO_LEAD = 0;

/** Smallest difference that is shown as a number, not as "less than". */
const LEAST_SHOWN = 0.001;

/** Minimum number of target weeks: a single week says nothing about others, even with many series. */
const MIN_WEEKS = 2;
/** Number of slices that a reason names; the table has all. */
const NAMED_SLICES = 3;

interface GateContext {
  /** Number of test weeks that the run asked for. */
  testWeeks: number;
  /** Whether no version is in use under the model's name, so that whatever the gate refuses leaves no forecasts at all. */
  hasNoVersionInUse: boolean;
  /** Unit of the sales; undefined for US dollars. */
  unit?: string | undefined;
}

/**
 * Decides on the candidate. Where its intervals alone fail, the gate judges it with wider ones, and then, as wherever it
 * fails, the simple forecasts in the order of their errors on the validation weeks, until one passes. docs/evaluation.md
 * explains the rules.
 */
export function decideGate(
  { simple = [], wide, ...candidate }: EvaluateResult,
  options: GateOptions,
  context: GateContext,
): GateDecision {
  const rejected = judge(candidate, options, context);
  if (rejected.verdict !== 'fail') return rejected;
  const ofWide =
    wide !== undefined && failsByCoverageAlone(rejected) ? judge(wide, options, context) : undefined;
  if (ofWide !== undefined && ofWide.verdict !== 'fail') return { ...ofWide, instead: 'wide', rejected };
  const ofSimple: GateJudgement[] = [];
  for (const evaluated of simple) {
    const judgement = judge(evaluated, { ...options, minImprovementOverBaselines: NO_LEAD }, context);
    ofSimple.push(judgement);
    if (judgement.verdict !== 'fail') return inPlace(ofSimple, ofSimple.length - 1, rejected);
  }
  if (context.hasNoVersionInUse) return lastResort(options, rejected, ofWide, ofSimple);
  return ofSimple.length === 0 ? rejected : { ...rejected, simple: ofSimple };
}

/**
 * First model where nothing passes: the candidate with wider intervals if they alone are still too narrow, else the first
 * simple forecast that loses to no baseline, else the best one on the validation weeks. Its failed checks stay, and a person
 * decides where one is to be asked when the gate is not sure.
 */
function lastResort(
  options: GateOptions,
  rejected: GateJudgement,
  ofWide: GateJudgement | undefined,
  ofSimple: GateJudgement[],
): GateDecision {
  const verdict = options.onInconclusive === 'approval' ? 'needsApproval' : 'pass';
  if (ofWide !== undefined && failsByCoverageAlone(ofWide)) {
    return { ...ofWide, verdict, instead: 'wide', rejected, simple: ofSimple };
  }
  if (ofSimple.length === 0) return rejected;
  const index = ofSimple.findIndex(({ checks }) =>
    GATE_BASELINES.every((baseline) => checks.some(({ name, passed }) => name === baseline && passed)),
  );
  return { ...inPlace(ofSimple, Math.max(0, index), rejected), verdict };
}

const inPlace = (ofSimple: GateJudgement[], simpleIndex: number, rejected: GateJudgement): GateDecision => ({
  ...(ofSimple[simpleIndex] ?? rejected),
  instead: 'simple',
  rejected,
  simpleIndex,
  simple: ofSimple,
});

const failsByCoverageAlone = ({ checks }: GateJudgement): boolean =>
  checks.every(({ name, passed }) => passed || name === 'coverage');

/**
 * The judgement passes if the candidate's WMAE over all horizons is below each baseline's and not above the champion's
 * (both within the options' margins), if its 80 % interval holds about 80 % of the test weeks' sales, and if it is not
 * clearly worse than any of them in any slice. A comparison that the data do not allow passes, and its reason says so.
 */
function judge(backtest: Evaluated, options: GateOptions, { testWeeks, unit }: GateContext): GateJudgement {
  const comparisons = backtest.comparisons.map((comparison) => assess(comparison, options));
  const checks = [
    ...GATE_BASELINES.map((baseline) => checkBaseline(backtest, options, unit, baseline)),
    ...checkChampion(backtest, options, unit),
    checkCoverage(backtest, options),
    checkSlices(comparisons, backtest),
    ...checkTestWeeks(backtest, testWeeks),
  ];
  const verdict = checks.every((check) => check.passed) ? verdictOf(comparisons, options) : 'fail';
  return { verdict, checks, comparisons };
}

/** Whether the data set has a champion, although it may be left out of the comparison. */
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
  unit: string | undefined,
  baseline: (typeof GATE_BASELINES)[number],
): GateCheck {
  const { overall } = backtest;
  const { candidate } = overall;
  const other = overall[baseline]?.wmae;
  if (candidate === undefined || other === undefined) {
    return notCompared(backtest, baseline) ?? missing(baseline, candidate);
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
    reason: `WMAE ${amount(candidate.wmae, unit)} is ${aboveOrBelow(candidate, other)} ${labelOf(baseline)} with ${amount(other, unit)}${requirement}`,
  };
}

function checkChampion(backtest: Evaluated, options: GateOptions, unit: string | undefined): GateCheck[] {
  const { overall } = backtest;
  const champion = overall.champion?.wmae;
  if (champion === undefined) {
    const check = notCompared(backtest, 'champion');
    // The first model of a data set has no champion.
    return check === null ? [] : [check];
  }
  const { candidate } = overall;
  if (candidate === undefined) return [missing('champion', candidate)];
  const limit = champion * (1 + options.maxRegressionAgainstChampion);
  return [
    {
      name: 'champion',
      passed: isAtMost(candidate, limit),
      reason:
        `WMAE ${amount(candidate.wmae, unit)} is ${aboveOrBelow(candidate, champion)} the champion's ${amount(champion, unit)} ` +
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
      `${isAccepted ? '; this data set has no champion, so wider ones are accepted' : ''})`,
  };
}

/** Returns a passed check that names the missing test weeks; none if all were tested. */
function checkTestWeeks({ testFirstWeek, testLastWeek }: Evaluated, asked: number): GateCheck[] {
  const tested = weeksFromTo(testFirstWeek, testLastWeek);
  if (tested >= asked) return [];
  const reason = `tested on ${tested} of the ${asked} weeks asked for, because the data set has too few`;
  return [{ name: 'testWeeks', passed: true, reason }];
}

/** Returns the check of a forecaster that the backtest left out, or null where it is simply absent. */
function notCompared({ overall, forecastersLeftOut = [] }: Evaluated, name: Forecaster): GateCheck | null {
  const entry = forecastersLeftOut.find(({ forecaster }) => forecaster === name);
  if (entry === undefined || overall.candidate === undefined) return null;
  return { name, passed: true, reason: `not compared with ${labelOf(name)}: ${entry.reason}` };
}

const labelOf = (forecaster: Forecaster): string => `the ${FORECASTER_LABELS[forecaster]}`;

/** Whether an error equals another one up to rounding. */
function areEqual({ wmae, wape }: Metrics, other: number): boolean {
  const meanSales = wape === null || wape === 0 ? 0 : wmae / wape;
  return Math.abs(wmae - other) <= EQUAL_SHARE * Math.max(other, meanSales);
}

const isAtMost = (error: Metrics, limit: number): boolean => error.wmae <= limit || areEqual(error, limit);

const missing = (name: Forecaster, candidate: Metrics | undefined): GateCheck => ({
  name,
  passed: false,
  reason: `the backtest has no WMAE of ${labelOf(candidate === undefined ? 'candidate' : name)}`,
});

function aboveOrBelow(error: Metrics, other: number): string {
  if (areEqual(error, other)) return 'equal to';
  // Nothing is a percentage of an error of zero.
  if (other === 0) return 'above';
  const difference = error.wmae / other - 1;
  const shown =
    Math.abs(difference) < LEAST_SHOWN ? `less than ${percent(LEAST_SHOWN)}` : percent(Math.abs(difference));
  return `${shown} ${difference < 0 ? 'below' : 'above'}`;
}
