// Counts of a test run, from the JSON reports of vitest and pytest.
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ML, nodeBin, PROJECT, pythonBin, run } from './programs.mjs';

const NONE = { passed: 0, failed: 0, skipped: 0 };
const BROKEN = { ...NONE, failed: 1 };
const PYTEST_FOUND_NO_TEST = 5;
/** Niceness of Python's tests beside the others, which have time limits. */
const LOWER_PRIORITY = 10;

/**
 * Calls `runTests` with a folder for the reports and prints the counts. CI reads the last line, `N passed, N failed`.
 */
export async function withCounts(runTests) {
  const reports = mkdtempSync(join(tmpdir(), 'shelfcast-test-'));
  try {
    const counts = await runTests(reports);
    const sum = (name) => counts.reduce((total, count) => total + count[name], 0);
    const total = { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
    process.stdout.write(`\n${total.skipped} skipped\n${total.passed} passed, ${total.failed} failed\n`);
    return total;
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
}

/**
 * @param launcher command that runs vitest, or prints why it does not and succeeds
 * @param log file of the output beside other tests; printed at the end
 */
export async function vitest(args, report, { launcher = [], log } = {}) {
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const code = await runWithLog([...launcher, nodeBin('vitest'), 'run', ...reporters, ...args], {}, log);
  if (!existsSync(report)) return launcher.length > 0 && code === 0 ? NONE : BROKEN;
  return vitestCounts(JSON.parse(readFileSync(report, 'utf8')), code);
}

export function vitestCounts(report, exitCode) {
  // A file that cannot be loaded has no tests, and a leaked error belongs to none.
  const brokenFiles = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  );
  return withExitCode(exitCode, {
    passed: report.numPassedTests,
    failed: report.numFailedTests + brokenFiles.length,
    skipped: report.numPendingTests + report.numTodoTests,
  });
}

/** Runs pytest; test/ml/conftest.py writes its counts. */
export async function pytest(patterns, reports, { isAlone }) {
  const counts = join(reports, 'pytest.json');
  const paths = patterns.map((pattern) => join(PROJECT, pattern));
  const niceness = String(isAlone ? 0 : LOWER_PRIORITY);
  const command = ['nice', '-n', niceness, pythonBin('pytest'), `--counts=${counts}`, ...paths];
  const code = await runWithLog(command, { cwd: ML }, isAlone ? undefined : join(reports, 'pytest.log'));
  if (!existsSync(counts)) return BROKEN;
  return withExitCode(code === PYTEST_FOUND_NO_TEST ? 0 : code, JSON.parse(readFileSync(counts, 'utf8')));
}

/** Runs a command; with a log, its output goes there and is printed at the end. */
async function runWithLog([program, ...args], options, log) {
  const output = log === undefined ? 'inherit' : openSync(log, 'w');
  const code = await run(program, args, { ...options, stdio: ['ignore', output, output] });
  if (log !== undefined) process.stdout.write(readFileSync(log));
  return code;
}

/** A run that failed without a failed test counts as one. */
const withExitCode = (code, counts) =>
  code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
