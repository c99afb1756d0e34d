/** Section of the model card with the gate's decision; the evaluate job wrote the rest. */
import { signedPercent } from '../contracts/number-format.ts';
import type { GateComparison, GateDecision } from '../contracts/gate.ts';

const VERDICTS: Record<GateDecision['verdict'], string> = {
  pass: 'passes',
  fail: 'is rejected',
  needsApproval: 'needs the approval of a person',
};
const OUTCOMES: Record<GateComparison['outcome'], string> = {
  better: 'better',
  notWorse: 'not worse',
  inconclusive: 'inconclusive',
  worse: '**worse**',
};

/** Returns the complete card as Markdown. */
export const withGate = (card: string, gate: GateDecision): string =>
  `${card.trimEnd()}\n\n${gateSection(gate)}\n`;

function gateSection({ verdict, checks, comparisons }: GateDecision): string {
  const reasons = checks.map(
    ({ passed, name, reason }) => `- ${name}, ${passed ? 'passed' : 'failed'}: ${reason}`,
  );
  return [
    '## Gate',
    `The candidate ${VERDICTS[verdict]}.`,
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
    'WMAE of the candidate above (+) or below (-) that of others:',
    '',
    row('slice', 'against', 'difference', '95 % interval', 'margin', 'weeks', ''),
    row('---', '---', '---:', '---:', '---:', '---:', '---'),
    ...rows.map((cells) => row(...cells)),
  ].join('\n');
}

const row = (...cells: (string | number)[]): string => `| ${cells.join(' | ')} |`;
