import { expect, test } from 'vitest';
import { percent, signedPercent, usd } from '../../contracts/number-format.ts';

test.each([
  [1343.5, '$1344'],
  [0, '$0'],
  [-1775.6, '-$1776'],
])('%d dollars are shown as %s', (value, text) => {
  expect(usd(value)).toBe(text);
});

test.each([
  [0.0678, '6.8 %', '+6.8 %'],
  [0, '0.0 %', '+0.0 %'],
  [-0.0217, '-2.2 %', '-2.2 %'],
])('a share of %d is shown as %s, with its sign as %s', (share, plain, signed) => {
  expect(percent(share)).toBe(plain);
  expect(signedPercent(share)).toBe(signed);
});
