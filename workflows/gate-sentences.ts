/** Sentences about the gate's decision: the reasons of a run. */
import type { ReplacementKind, GateCheck, GateDecision } from '../contracts/gate.ts';
import { GATE_VERBS } from '../contracts/gate.ts';
import type { TrainResult } from '../contracts/jobs.ts';
import type { RegisteredVersion } from '../contracts/rollout.ts';

/** Returns the decision on a registered version, with the checks that decided. */
export function decisionSentence(
  gate: GateDecision,
  registered: Pick<RegisteredVersion, 'version'>,
  champion: Pick<RegisteredVersion, 'version' | 'dataset'> | null,
): string {
  const deciding = gate.checks.filter(({ passed }) => passed === (gate.verdict !== 'fail'));
  const decision = `the gate ${GATE_VERBS[gate.verdict]} version ${registered.version}: ${reasonsOf(deciding)}`;
  return decision + remarkOn(gate, champion);
}

/** Returns the sentence about the replacement of the candidate; null where there is none. */
export function replacementSentence(model: TrainResult, gate: GateDecision, preset: string): string | null {
  const { instead, rejected, checks } = gate;
  if (instead === undefined || rejected === undefined) return null;
  const stillFailed = failedOf(checks);
  return (
    `the gate rejects the preset ${preset} (${reasonsOf(failedOf(rejected.checks))}), so ` +
    `${describe(model, gate, instead)} takes its place` +
    (stillFailed.length === 0
      ? ''
      : `, although the gate rejects it, too, because no other model is in use (${reasonsOf(stillFailed)})`)
  );
}

function describe(
  { simpleForecasts = [], wideIntervals }: TrainResult,
  { simpleIndex = 0, checks }: GateDecision,
  instead: ReplacementKind,
): string {
  switch (instead) {
    case 'simple': {
      const { name = '' } = simpleForecasts[simpleIndex] ?? {};
      const count = simpleForecasts.length;
      if (simpleIndex === 0)
        return `the simple forecast ${name}, the best of ${count} on the validation weeks,`;
      const first = failedOf(checks).length === 0 ? 'that passes' : 'that loses to no baseline';
      return `the simple forecast ${name}, number ${simpleIndex + 1} of ${count} on the validation weeks and the first ${first},`;
    }
    case 'wide':
      return (
        `the same model with intervals ${(wideIntervals?.factor ?? 1).toFixed(1)} times as wide, which held 80 % of each ` +
        'validation week,'
      );
  }
}

/** Returns what the gate says of the simple forecasts where none of them takes the candidate's place. */
const remarkOn = (
  { instead, simple = [] }: GateDecision,
  champion: Pick<RegisteredVersion, 'version' | 'dataset'> | null,
): string =>
  instead !== undefined || simple.length === 0 || champion === null
    ? ''
    : `; none of the ${simple.length} simple forecasts passes, either, so version ${champion.version} of the data set ` +
      `${champion.dataset} stays in use`;

const failedOf = (checks: GateCheck[]): GateCheck[] => checks.filter(({ passed }) => !passed);

const reasonsOf = (checks: GateCheck[]): string => checks.map(({ reason }) => reason).join('; ');
