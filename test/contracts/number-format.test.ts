import { expect, test } from 'vitest';
import { amount, percent, signedPercent } from '../../contracts/number-format.ts';

test.each([
  [1343.5, undefined, '$1344'],
  [0, undefined, '$0'],
  [-1775.6, 'USD', '-$1776'],
  [9.994, undefined, '$9.99'],
  [10.4, undefined, '$10'],
  [1343.5, 'EUR', '1344 EUR'],
  [-2.5, 'pieces', '-2.50 pieces'],
  [0, 'calls', '0 calls'],
])('%d %s is shown as %s', (value, unit, text) => {
  expect(amount(value, unit)).toBe(text);
});

test.each([
  [0.0678, '6.8 %', '+6.8 %'],
  [0, '0.0 %', '+0.0 %'],
  [-0.0217, '-2.2 %', '-2.2 %'],
])('a share of %d is shown as %s, with its sign as %s', (share, plain, signed) => {
  expect(percent(share)).toBe(plain);
  expect(signedPercent(share)).toBe(signed);
});
