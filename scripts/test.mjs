// `npm test -- [PATTERN...]`: all tests that need no cluster, or those with one of the patterns in their path. The drills
// and, with a lower priority, Python's tests run beside the others, because all wait for services much of the time.
import { join } from 'node:path';
import { installTools } from './installation.mjs';
import { pytest, vitest, withCounts } from './test-counts.mjs';

const patterns = process.argv.slice(2);
const isPython = (pattern) => /\.py(::|$)|(^|\/)ml(\/|$)/.test(pattern);
const forPython = patterns.filter(isPython);
const forNode = patterns.filter((pattern) => !isPython(pattern));

const NOT_DRILLS = ['--project=pure', '--project=services'];
const withDrills = patterns.length === 0;
const withNode = withDrills || forNode.length > 0;
const withPython = patterns.length === 0 || forPython.length > 0;

await installTools('python', 'temporal');
const { passed, failed } = await withCounts((reports) =>
  Promise.all([
    ...(withNode ? [vitest(withDrills ? NOT_DRILLS : forNode, join(reports, 'vitest.json'))] : []),
    ...(withDrills
      ? [vitest(['--project=drills'], join(reports, 'drills.json'), { log: join(reports, 'drills.log') })]
      : []),
    ...(withPython ? [pytest(forPython, reports, { isAlone: !withNode })] : []),
  ]),
);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
