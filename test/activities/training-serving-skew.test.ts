/** Comparison of features, without a predictor. */
import { describe, expect, test } from 'vitest';
import { featureDifferences } from '../../activities/training-serving-skew.ts';

const row = (features: Record<string, number | null>, targetWeek = '2012-02-03') => ({
  store: 1,
  dept: 2,
  horizon: 1,
  targetWeek,
  features,
});
const answer = (features: Record<string, number | null> | undefined, targetWeek = '2012-02-03') => ({
  ...row({}, targetWeek),
  ...{ origin: '2012-01-27', forecast: 2, p10: 1, p50: 2, p90: 3 },
  features,
});

describe('features are the same', () => {
  test.each([
    ['equal numbers', { lag_1: 0.1 + 0.2 }, { lag_1: 0.30000000000000004 }],
    ['unknown in both', { lag_1: null }, { lag_1: null }],
    ['one that the model does not use', { lag_1: 1, quarter: 2 }, { lag_1: 1 }],
    ['zeros of both signs, which JSON does not tell apart', { lag_1: -0 }, { lag_1: 0 }],
  ])('%s', (_name, sampled, used) => {
    expect(featureDifferences(['lag_1'], [row(sampled)], [answer(used)])).toEqual([]);
  });
});

describe('features differ', () => {
  const where = 'store 1, dept 2, week 2012-02-03';
  test.each([
    ['a last bit', { lag_1: 0.3 }, { lag_1: 0.1 + 0.2 }, 'is 0.30000000000000004 online, 0.3 in training'],
    ['unknown for zero', { lag_1: 0 }, { lag_1: null }, 'is unknown online, 0 in training'],
    ['zero for unknown', { lag_1: null }, { lag_1: 0 }, 'is 0 online, unknown in training'],
    ['not used', { lag_1: 1 }, {}, 'is absent online, 1 in training'],
    ['not sampled', {}, { lag_1: 1 }, 'is 1 online, absent in training'],
    ['in neither', {}, {}, 'is absent online, absent in training'],
    ['not told', { lag_1: 1 }, undefined, 'is absent online, 1 in training'],
  ])('%s', (_name, sampled: Record<string, number | null>, used, words) => {
    expect(featureDifferences(['lag_1'], [row(sampled)], [answer(used)])).toEqual([
      `${where}: lag_1 ${words}`,
    ]);
  });

  test('each one, of each row', () => {
    const sample = [row({ lag_1: 1, size: 2 }), row({ lag_1: 3, size: 4 })];
    const found = featureDifferences(['lag_1', 'size'], sample, [
      answer({ lag_1: 1, size: 9 }),
      answer({ lag_1: 9, size: 9 }),
    ]);
    expect(found.map((sentence) => sentence.split(': ')[1]?.split(' ')[0])).toEqual([
      'size',
      'lag_1',
      'size',
    ]);
  });

  test("by the user's ids", () => {
    const sample = [{ ...row({ lag_1: 1 }), store: 'CA_1', dept: 'FOODS_1' }];
    expect(featureDifferences(['lag_1'], sample, [answer({ lag_1: 2 })])).toEqual([
      'store CA_1, dept FOODS_1, week 2012-02-03: lag_1 is 2 online, 1 in training',
    ]);
  });

  test('another week, and no answer', () => {
    const sample = [row({ lag_1: 1 }), row({ lag_1: 1 })];
    expect(featureDifferences(['lag_1'], sample, [answer({ lag_1: 1 }, '2012-02-10')])).toEqual([
      `${where}: the answer is for week 2012-02-10`,
      `${where}: the answer has no target week`,
    ]);
  });
});
