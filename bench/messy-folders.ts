/**
 * Outcomes of folders of sales as real retailers send them: each must load exactly, or stop with one sentence.
 * `npm run bench -- messy-folders [--count N] [--first SEED] [--processes N]`
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { z } from 'zod';
import { config, state } from './measure/platform.ts';
import { newTable } from './measure/table.ts';

const SHOWN_FAULTS = 20;

const measured = z.object({
  ends: z.record(z.string(), z.number()),
  kinds: z.record(z.string(), z.object({ loaded: z.number(), stopped: z.number(), faults: z.number() })),
  forecasts: z.record(z.string(), z.number()),
  faults: z.array(z.string()),
});

const { values: options } = parseArgs({
  options: {
    count: { type: 'string', default: '1000' },
    first: { type: 'string', default: '0' },
    processes: { type: 'string', default: String(availableParallelism()) },
  },
});
const { count, first, processes } = options;
const { ends, kinds, forecasts, faults } = await measure();
const table = newTable('folders with', 'loaded exactly', 'stopped by a sentence', 'with faults');
for (const [kind, { loaded, stopped, faults: faulty }] of Object.entries(kinds)) {
  table.push([kind, loaded, stopped, faulty]);
}
process.stdout.write(
  [table.toString(), ...faults.slice(0, SHOWN_FAULTS), `${faults.length} faults`, ''].join('\n'),
);
const line = { bench: 'messy-folders', count: Number(count), first: Number(first), ends, forecasts };
process.stdout.write(`${JSON.stringify({ ...line, faults: faults.length })}\n`);
process.exitCode = faults.length === 0 ? 0 : 1;

async function measure(): Promise<z.infer<typeof measured>> {
  const tests = join(config.projectDir, 'test', 'ml');
  const { stdout } = await execa(
    join(state.venvDir, 'bin', 'python'),
    [join(config.projectDir, 'bench', 'measure', 'folder_outcomes.py'), count, first, processes],
    {
      env: { PYTHONPATH: `${tests}:${join(tests, 'messy')}`, OMP_NUM_THREADS: '1' },
      stdin: 'ignore',
      stderr: 'inherit',
    },
  );
  return measured.parse(JSON.parse(stdout.slice(stdout.lastIndexOf('\n') + 1)));
}
