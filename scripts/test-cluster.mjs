// `npm run test:cluster -- [--if-built] [--smoke] [PATTERN...]`: the tests that need a Kubernetes with the operators.
// --if-built runs them only if a cluster is available at once; --smoke runs the few of vitest.smoke.config.ts.
import { join } from 'node:path';
import { installTools } from './installation.mjs';
import { PROJECT } from './programs.mjs';
import { vitest, withCounts } from './test-counts.mjs';

const IF_BUILT = '--if-built';
const SMOKE = '--smoke';
const options = process.argv.slice(2);
const patterns = options.filter((option) => option !== IF_BUILT && option !== SMOKE);
const launcher = [process.execPath, '--import', 'tsx', join(PROJECT, 'test/cluster/cluster-main.ts')];
if (options.includes(IF_BUILT)) launcher.push(IF_BUILT);
const config = options.includes(SMOKE)
  ? ['--config', join(PROJECT, 'test/cluster/vitest.smoke.config.ts'), '--tags-filter', 'smoke']
  : ['--config', join(PROJECT, 'test/cluster/vitest.config.ts')];

await installTools('python', 'temporal');
// Without a cluster no test passes and none fails.
const { failed } = await withCounts(async (reports) => [
  await vitest([...config, ...patterns], join(reports, 'vitest.json'), { launcher }),
]);
process.exitCode = failed > 0 ? 1 : 0;
