/**
 * Accuracy of the forecasts: all presets, naive forecasts, LightGBM and seasonal methods on held-out weeks, of generated
 * sales and, with `--data DIR`, of a folder in the Walmart layout; with `--presets global,structural` only of these presets
 * and the naive forecasts. `npm run bench -- accuracy`
 */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { execa } from 'execa';
import { z } from 'zod';

const error = z.object({ wmae: z.number(), wape: z.number(), coverage80: z.number().optional() });
const group = z.object({ rows: z.number() }).catchall(z.union([z.number(), error]));
const measured = z.object({
  testFirstWeek: z.string(),
  testLastWeek: z.string(),
  h1: group,
  h1to8: group,
  long: group,
});

const TITLES = {
  h1: 'one week ahead, from each week',
  h1to8: 'one to eight weeks ahead, from each week',
  long: 'all weeks from one origin',
} as const;

const { values: options } = parseArgs({
  options: { data: { type: 'string' }, presets: { type: 'string' } },
});
const line: Record<string, unknown> = { bench: 'accuracy', generated: await measure('generated sales') };
if (options.data !== undefined) line['folder'] = await measure(options.data, resolve(options.data));
process.stdout.write(`${JSON.stringify(line)}\n`);

async function measure(title: string, ...args: string[]): Promise<z.infer<typeof measured>> {
  const project = resolve(import.meta.dirname, '..');
  const { stdout } = await execa(
    join(project, 'ml', '.venv', 'bin', 'python'),
    [
      join(project, 'bench', 'measure', 'accuracy.py'),
      ...args,
      ...(options.presets === undefined ? [] : ['--presets', options.presets]),
    ],
    { stderr: 'inherit' },
  );
  const result = measured.parse(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''));
  process.stdout.write(`${title}, weeks ${result.testFirstWeek} to ${result.testLastWeek}\n`);
  for (const [name, text] of Object.entries(TITLES) as [keyof typeof TITLES, string][])
    print(text, result[name]);
  return result;
}

function print(title: string, { rows, ...errors }: z.infer<typeof group>): void {
  const table = new Table({
    head: [`${title} (${rows.toLocaleString('en')} rows)`, 'WMAE', 'WAPE', '80 % interval holds'],
    colAligns: ['left', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  });
  const sorted = Object.entries(errors)
    .flatMap(([name, value]) => (typeof value === 'number' ? [] : [[name, value] as const]))
    .sort(([, a], [, b]) => a.wmae - b.wmae);
  for (const [name, { wmae, wape, coverage80 }] of sorted) {
    table.push([
      name.replaceAll('_', ' '),
      `$${wmae.toFixed(0)}`,
      `${(100 * wape).toFixed(2)} %`,
      coverage80 === undefined ? '' : `${(100 * coverage80).toFixed(1)} %`,
    ]);
  }
  process.stdout.write(`${table.toString()}\n`);
}
