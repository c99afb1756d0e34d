// `npm test -- [PATTERN...]`: all tests that need no cluster, or those with one of the patterns in their path. Python's
// tests run beside the others with a lower priority, because both wait for services about half of the time.
import { join } from 'node:path';
import { installTools } from './installation.mjs';
import { pytest, vitest, withCounts } from './test-counts.mjs';

const patterns = process.argv.slice(2);
const isPython = (pattern) => /\.py(::|$)|(^|\/)ml(\/|$)/.test(pattern);
const forPython = patterns.filter(isPython);
const forNode = patterns.filter((pattern) => !isPython(pattern));

const withNode = patterns.length === 0 || forNode.length > 0;
const withPython = patterns.length === 0 || forPython.length > 0;

await installTools('python', 'temporal');
const { passed, failed } = await withCounts((reports) =>
  Promise.all([
    ...(withNode ? [vitest(forNode, join(reports, 'vitest.json'))] : []),
    ...(withPython ? [pytest(forPython, reports, { isAlone: !withNode })] : []),
  ]),
);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
