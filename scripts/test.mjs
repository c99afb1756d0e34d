// `npm test -- [PATTERN...]`: all tests that need no cluster, or those whose path holds one of the patterns.
import { join } from 'node:path';
import { installTools } from './installation.mjs';
import { pytest, vitest, withCounts } from './test-counts.mjs';

const patterns = process.argv.slice(2);
const isPython = (pattern) => /\.py(::|$)|(^|\/)ml(\/|$)/.test(pattern);
const forPython = patterns.filter(isPython);
const forNode = patterns.filter((pattern) => !isPython(pattern));

await installTools('python', 'temporal');
const { passed, failed } = await withCounts(async (reports) => {
  const counts = [];
  if (patterns.length === 0 || forNode.length > 0)
    counts.push(await vitest(forNode, join(reports, 'vitest.json')));
  if (patterns.length === 0 || forPython.length > 0)
    counts.push(await pytest(forPython, join(reports, 'pytest.json')));
  return counts;
});
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
