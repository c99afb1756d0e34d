/** Decision of the promotion gate. Free of zod, because workflows import it. */
import type { Comparison, Evaluated, EvaluateResult, TrainResult } from './jobs.ts';

export interface GateCheck {
  name: string;
  passed: boolean;
  /** One sentence with the numbers that decided. */
  reason: string;
}

/** Comparison with its margin and outcome (docs/evaluation.md). */
export interface GateComparison extends Comparison {
  /** Largest allowed difference. */
  margin: number;
  outcome: 'better' | 'notWorse' | 'inconclusive' | 'worse';
}

/** Verbs of a sentence about the gate's decision: "the gate passes version 3". */
export const GATE_VERBS: Record<GateDecision['verdict'], string> = {
  pass: 'passes',
  fail: 'rejects',
  needsApproval: 'requires a person to approve',
};

export interface GateJudgement {
  /**
   * `needsApproval`: the backtest is too small to be sure, so a person decides. `pass` and `needsApproval` have failed checks
   * only for a first model where nothing passes (docs/evaluation.md).
   */
  verdict: 'pass' | 'fail' | 'needsApproval';
  checks: GateCheck[];
  /** Overall and by slice. */
  comparisons: GateComparison[];
}

/** Kind of a replacement: a simple forecast, or the candidate with wider intervals. */
export type ReplacementKind = 'simple' | 'wide';

export interface GateDecision extends GateJudgement {
  /** Kind of the replacement; absent where none takes the candidate's place. */
  instead?: ReplacementKind;
  /** Judgement of the candidate that has a replacement; the other fields are then of the replacement. */
  rejected?: GateJudgement;
  /** Place of the simple forecast that takes the candidate's place in the order of the validation weeks, from 0. */
  simpleIndex?: number;
  /** Judgements of the simple forecasts that the gate tried, in that order. */
  simple?: GateJudgement[];
}

/** Model that takes a rejected candidate's place, and its scores. */
export interface Replacement {
  instead: ReplacementKind;
  model: Pick<TrainResult, 'modelUri' | 'modelHash'>;
  evaluated: Evaluated;
}

/** Returns the replacement of the candidate, or null where there is none. */
export function replacementOf(
  model: TrainResult,
  { simple = [], wide }: EvaluateResult,
  { instead, simpleIndex = 0 }: GateDecision,
): Replacement | null {
  if (instead === undefined) return null;
  const [replacement, evaluated] =
    instead === 'wide'
      ? [model.wideIntervals, wide]
      : [model.simpleForecasts?.[simpleIndex], simple[simpleIndex]];
  return replacement === undefined || evaluated === undefined
    ? null
    : { instead, model: replacement, evaluated };
}
