/** Decision of the promotion gate. Free of zod, because workflows import it. */
import type { Comparison, TrainResult } from './jobs.ts';

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
  /** `needsApproval`: no check failed, but the backtest is too small to be sure. */
  verdict: 'pass' | 'fail' | 'needsApproval';
  checks: GateCheck[];
  /** Overall and by slice. */
  comparisons: GateComparison[];
}

/** Models that the training makes beside the candidate. */
export type Alternative = 'simple' | 'wide';

/** Returns the model folders of the alternatives that a training made. */
export const alternativesOf = ({
  simpleForecast,
  wideIntervals,
}: TrainResult): Record<Alternative, Pick<TrainResult, 'modelUri' | 'modelHash'> | undefined> => ({
  simple: simpleForecast,
  wide: wideIntervals,
});

export interface GateDecision extends GateJudgement {
  /** Another model that takes the candidate's place: the simple forecast, or the candidate with wider intervals. */
  instead?: Alternative;
  /** Judgement of the candidate when another model takes its place; the other fields are then of that model. */
  rejected?: GateJudgement;
}
