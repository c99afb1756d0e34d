import { expect, test } from 'vitest';
import { withGate } from '../../activities/model-card.ts';
import type { GateComparison, GateDecision } from '../../contracts/gate.ts';

const comparison = (outcome: GateComparison['outcome'], slice: string): GateComparison => ({
  slice,
  against: 'naive',
  difference: -0.1234,
  lower: -0.2,
  upper: 0.05,
  rows: 100,
  series: 10,
  weeks: 8,
  margin: 0.1,
  outcome,
});

test('the gate adds its decision, its checks and a row for each comparison', () => {
  const gate: GateDecision = {
    verdict: 'fail',
    checks: [
      { name: 'naive', passed: true, reason: 'WMAE $1 is 50.0 % below' },
      { name: 'slices', passed: false, reason: 'clearly worse in 1' },
    ],
    comparisons: [comparison('notWorse', 'overall'), comparison('worse', 'holiday=true')],
  };
  expect(withGate('# Card\n\ntext\n\n', gate)).toBe(`# Card

text

## Gate

The gate rejects the candidate.

- naive, passed: WMAE $1 is 50.0 % below
- slices, failed: clearly worse in 1

The candidate's WMAE above (+) or below (-) the WMAE of others:

| slice | against | difference | 95 % interval | margin | weeks |  |
| --- | --- | ---: | ---: | ---: | ---: | --- |
| overall | naive | -12.3 % | -20.0 % to +5.0 % | +10.0 % | 8 | not worse |
| holiday=true | naive | -12.3 % | -20.0 % to +5.0 % | +10.0 % | 8 | **worse** |
`);
});

test('a decision without comparisons has no table', () => {
  const card = withGate('# Card', { verdict: 'needsApproval', checks: [], comparisons: [] });
  expect(card).toContain('The gate requires a person to approve the candidate.');
  expect(card).not.toContain('|');
});
