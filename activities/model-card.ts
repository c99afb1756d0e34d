/** Section of the model card with the gate's decision. The evaluate job writes the rest of the card. */
import { signedPercent } from '../contracts/number-format.ts';
import type { GateComparison, GateJudgement } from '../contracts/gate.ts';
import { GATE_VERBS } from '../contracts/gate.ts';

const OUTCOMES: Record<GateComparison['outcome'], string> = {
  better: 'better',
  notWorse: 'not worse',
  inconclusive: 'inconclusive',
  worse: '**worse**',
};

/** Returns the complete card as Markdown. */
export const withGate = (card: string, gate: GateJudgement): string =>
  `${card.trimEnd()}\n\n${gateSection(gate)}\n`;

function gateSection({ verdict, checks, comparisons }: GateJudgement): string {
  const reasons = checks.map(
    ({ passed, name, reason }) => `- ${name}, ${passed ? 'passed' : 'failed'}: ${reason}`,
  );
  return [
    '## Gate',
    `The gate ${GATE_VERBS[verdict]} the candidate.`,
    reasons.join('\n'),
    ...(comparisons.length === 0 ? [] : [comparisonTable(comparisons)]),
  ].join('\n\n');
}

function comparisonTable(comparisons: GateComparison[]): string {
  const rows = comparisons.map(({ slice, against, difference, lower, upper, margin, weeks, outcome }) => [
    slice,
    against,
    signedPercent(difference),
    `${signedPercent(lower)} to ${signedPercent(upper)}`,
    signedPercent(margin),
    weeks,
    OUTCOMES[outcome],
  ]);
  return [
    "The candidate's WMAE above (+) or below (-) the WMAE of others:",
    '',
    row('slice', 'against', 'difference', '95 % interval', 'margin', 'weeks', ''),
    row('---', '---', '---:', '---:', '---:', '---:', '---'),
    ...rows.map((cells) => row(...cells)),
  ].join('\n');
}

const row = (...cells: (string | number)[]): string => `| ${cells.join(' | ')} |`;
