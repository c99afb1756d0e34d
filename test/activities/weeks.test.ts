import { expect, test } from 'vitest';
import { keptWeeks, weeksFromTo } from '../../activities/weeks.ts';

/** Snapshot of that many weeks. */
const snapshotOf = (weeks: number) => ({
  firstWeek: '2025-01-03',
  lastWeek: new Date(Date.UTC(2025, 0, 3 + 7 * (weeks - 1))).toISOString().slice(0, 10),
});

test('a week from itself to itself is one', () => {
  expect(weeksFromTo('2025-01-03', '2025-01-03')).toBe(1);
  expect(weeksFromTo('2025-01-03', '2026-01-02')).toBe(53);
});

test.each([
  ['as asked for where two weeks are left for training', 18, 8, 8, [8, 8]],
  ['a quarter of the weeks each where fewer are left', 17, 8, 8, [4, 4]],
  ['not more than asked for', 17, 3, 15, [3, 4]],
  ['a week each of the fewest weeks that can be split', 4, 8, 8, [1, 1]],
  ['a week each, although the features stage will refuse them', 3, 8, 8, [1, 1]],
  ['a large share of the data that leaves enough', 60, 30, 28, [30, 28]],
])('the kept weeks are %s', (_name, weeks, testWeeks, validationWeeks, kept) => {
  const found = keptWeeks({ testWeeks, validationWeeks }, snapshotOf(weeks));
  expect([found.testWeeks, found.validationWeeks]).toEqual(kept);
});
