import { expect, test } from 'vitest';
import { runKey } from '../../contracts/names.ts';

test('runs of one workflow id have different keys, also when they began in the same minute', () => {
  const first = runKey('update:sales-forecast', '01a2112e-6edf-739b-bbdf-5470583fe520');
  const second = runKey('update:sales-forecast', '01a2112e-b1c4-7f02-8a41-93d2e07c61ab');
  expect(first).toBe('update-sales-forecast-583fe520');
  expect(second).not.toBe(first);
});

test('a key is short, and has letters, digits and single hyphens alone', () => {
  const key = runKey(`Pipeline:: ${'shop_'.repeat(20)}`, '01A2112E-6EDF-739B-BBDF-5470583FE520');
  expect(key).toBe('pipeline-shop-shop-shop-shop-shop-shop-s-583fe520');
});
