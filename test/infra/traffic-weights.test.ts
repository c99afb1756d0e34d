/** Rules for traffic weights, which the contract tests of each platform see only where they refuse one. */
import { describe, expect, test } from 'vitest';
import { reweighed, without } from '../../infra/traffic-weights.ts';

const MODEL = 'sales-forecast';
const served = [
  { version: 1, weightPercent: 100, port: 9001 },
  { version: 2, weightPercent: 0, port: 9002 },
];

describe('reweighed', () => {
  test.each<[string, [number, number][], number[]]>([
    [
      'a share for each',
      [
        [2, 10],
        [1, 90],
      ],
      [90, 10],
    ],
    ['a version without a given weight', [[2, 100]], [0, 100]],
    [
      'none beside all',
      [
        [1, 0],
        [2, 100],
      ],
      [0, 100],
    ],
    ['no weight at all', [], [0, 0]],
  ])('sets %s and changes nothing else', (_name, weights, [first, second]) => {
    expect(reweighed(MODEL, served, new Map(weights))).toEqual([
      { version: 1, weightPercent: first, port: 9001 },
      { version: 2, weightPercent: second, port: 9002 },
    ]);
  });

  test.each<[string, [number, number][], string]>([
    [
      'versions that are not served',
      [
        [1, 40],
        [7, 30],
        [9, 30],
      ],
      'Cannot give traffic to version 7, 9 of "sales-forecast": the served versions are 1, 2.',
    ],
    [
      'a fraction',
      [
        [1, 99.5],
        [2, 0.5],
      ],
      'A weight of "sales-forecast" is 99.5; it must be a whole percent, 0 to 100.',
    ],
    [
      'less than nothing',
      [
        [1, 50],
        [2, -1],
      ],
      'A weight of "sales-forecast" is -1; it must be a whole percent, 0 to 100.',
    ],
    [
      'more than all',
      [[1, 101]],
      'A weight of "sales-forecast" is 101; it must be a whole percent, 0 to 100.',
    ],
    ['a part alone', [[1, 99]], 'The weights of "sales-forecast" add up to 99, not to 100.'],
    [
      'more than all together',
      [
        [1, 100],
        [2, 1],
      ],
      'The weights of "sales-forecast" add up to 101, not to 100.',
    ],
    ['nothing for the only one named', [[1, 0]], 'The weights of "sales-forecast" add up to 0, not to 100.'],
  ])('refuses %s', (_name, weights, message) => {
    expect(() => reweighed(MODEL, served, new Map(weights))).toThrow(new RangeError(message));
  });

  test('says that nothing is served', () => {
    expect(() => reweighed(MODEL, [], new Map([[1, 100]]))).toThrow('the served versions are none.');
  });
});

describe('without', () => {
  test('keeps the others', () => {
    expect(without(MODEL, served, 2)).toEqual(served.slice(0, 1));
    expect(without(MODEL, served, 3)).toEqual(served);
  });

  test('refuses a version that has traffic, however little', () => {
    const little = [{ version: 4, weightPercent: 1 }, ...served];
    expect(() => without(MODEL, little, 4)).toThrow(
      new Error('Version 4 of "sales-forecast" has 1 % of the traffic; give it to another version first.'),
    );
  });
});
