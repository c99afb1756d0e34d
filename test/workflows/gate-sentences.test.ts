/** The sentences about a gate's decision. */
import { expect, test } from 'vitest';
import type { GateDecision, GateJudgement } from '../../contracts/gate.ts';
import type { TrainResult } from '../../contracts/jobs.ts';
import { decisionSentence, replacementSentence } from '../../workflows/gate-sentences.ts';
import { model } from './fake-activities.ts';

const good = { name: 'naive', passed: true, reason: 'is good' };
const narrow = { name: 'coverage', passed: false, reason: 'is narrow' };
const bad = { name: 'naive', passed: false, reason: 'is bad' };
const passed: GateJudgement = { verdict: 'pass', checks: [good], comparisons: [] };
const failed: GateJudgement = { verdict: 'fail', checks: [good, bad, narrow], comparisons: [] };

const forecast = { modelUri: 'file:///a', modelHash: 'ab', validationWmae: 1 };
const trained: TrainResult = {
  ...model,
  simpleForecasts: ['seasonal_naive', 'naive'].map((name) => ({ ...forecast, name })),
  wideIntervals: { ...forecast, factor: 1.26 },
};
const start = 'the gate rejects the preset global (is bad; is narrow), so ';

test.each<[string, GateDecision, string | null]>([
  ['nothing takes the place', failed, null],
  [
    'the best simple forecast',
    { ...passed, instead: 'simple', simpleIndex: 0, rejected: failed },
    `${start}the simple forecast seasonal_naive, the best of 2 on the validation weeks, takes its place`,
  ],
  [
    'a later simple forecast',
    { ...passed, instead: 'simple', simpleIndex: 1, rejected: failed },
    `${start}the simple forecast naive, number 2 of 2 on the validation weeks and the first that passes, takes its place`,
  ],
  [
    'a later simple forecast that fails, too',
    { ...passed, checks: [good, narrow], instead: 'simple', simpleIndex: 1, rejected: failed },
    `${start}the simple forecast naive, number 2 of 2 on the validation weeks and the first that loses to no baseline, ` +
      'takes its place, although the gate rejects it, too, because no other model is in use (is narrow)',
  ],
  [
    'wider intervals',
    { ...passed, instead: 'wide', rejected: failed },
    `${start}the same model with intervals 1.3 times as wide, which held 80 % of each validation week, takes its place`,
  ],
])('%s', (_name, gate, sentence) => {
  expect(replacementSentence(trained, gate, 'global')).toBe(sentence);
});

test.each<[string, GateDecision, { version: number; dataset: string } | null, string]>([
  ['passes', passed, null, 'the gate passes version 3: is good'],
  [
    'needs approval',
    { ...passed, verdict: 'needsApproval' },
    null,
    'the gate requires a person to approve version 3: is good',
  ],
  ['rejects', failed, null, 'the gate rejects version 3: is bad; is narrow'],
  [
    'rejects beside a version in use, after the simple forecasts',
    { ...failed, simple: [failed, failed] },
    { version: 2, dataset: 'shop' },
    'the gate rejects version 3: is bad; is narrow; none of the 2 simple forecasts passes, either, so version 2 of the data set shop stays in use',
  ],
  [
    'rejects beside a version in use, without any simple forecast',
    failed,
    { version: 2, dataset: 'shop' },
    'the gate rejects version 3: is bad; is narrow',
  ],
  [
    'rejects a first version after the simple forecasts',
    { ...failed, simple: [failed] },
    null,
    'the gate rejects version 3: is bad; is narrow',
  ],
  [
    'replaces a version in use',
    { ...passed, instead: 'simple', simple: [failed, passed] },
    { version: 2, dataset: 'shop' },
    'the gate passes version 3: is good',
  ],
])('the gate %s', (_name, gate, champion, sentence) => {
  expect(decisionSentence(gate, { version: 3 }, champion)).toBe(sentence);
});
