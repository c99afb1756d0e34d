import { expect, test } from 'vitest';
import { vitestCounts } from '../../scripts/test-counts.mjs';

const report = (numFailedTests: number, ...files: [status: string, tests: number][]) => ({
  numPassedTests: 7,
  numFailedTests,
  numPendingTests: 2,
  numTodoTests: 1,
  testResults: files.map(([status, tests]) => ({ status, assertionResults: Array(tests).fill({}) })),
});

test.each([
  ['passed and skipped tests', report(0, ['passed', 7]), 0, 0],
  ['a failed test', report(1, ['failed', 8]), 1, 1],
  ['a file that cannot be loaded', report(1, ['failed', 8], ['failed', 0]), 1, 2],
  ['an error that belongs to no test', report(0, ['passed', 7]), 1, 1],
])('%s are counted', (_, json, exitCode, failed) => {
  expect(vitestCounts(json, exitCode)).toEqual({ passed: 7, failed, skipped: 3 });
});
