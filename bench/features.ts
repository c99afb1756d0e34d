/**
 * How fast the newest features come online, beside Feast's own writers on the same rows of the same database.
 * `npm run bench -- features [--stores N --departments N --weeks N]`
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { execa } from 'execa';
import { z } from 'zod';
import { localEnvironment } from '../infra/local/services.ts';
import { readPorts } from '../infra/local/state.ts';
import { config, onFreshPlatform, state } from './measure/platform.ts';

const WRITERS = ['feastLocal', 'feastRay', 'shelfcast'] as const;
const NAMES: Record<(typeof WRITERS)[number], string> = {
  feastLocal: 'Feast, local engine',
  feastRay: 'Feast, Ray engine',
  shelfcast: 'shelfcast, Ray engine',
};

const measured = z.object({
  salesRows: z.number(),
  values: z.number(),
  /** Into empty tables, then over the rows that are there. */
  seconds: z.record(z.enum(WRITERS), z.tuple([z.number(), z.number()])),
});
type Measured = z.infer<typeof measured>;

const { values: size } = parseArgs({
  options: {
    stores: { type: 'string', default: '10' },
    departments: { type: 'string', default: '63' },
    weeks: { type: 'string', default: '104' },
  },
});
await onFreshPlatform(async () => {
  print(await materialization([size.stores, size.departments, size.weeks]));
});

async function materialization(args: string[]): Promise<Measured> {
  const { stdout } = await execa(
    join(state.venvDir, 'bin', 'python'),
    [join(config.projectDir, 'bench', 'measure', 'materialization.py'), ...args],
    {
      env: {
        ...localEnvironment(config),
        RAY_ADDRESS: `127.0.0.1:${readPorts(state).ray}`,
        RAY_AUTH_MODE: 'token',
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER: '0',
      },
      stdin: 'ignore',
      stderr: 'inherit',
    },
  );
  return measured.parse(JSON.parse(stdout.slice(stdout.lastIndexOf('\n') + 1)));
}

function print({ salesRows, values, seconds }: Measured): void {
  const total = (writer: (typeof WRITERS)[number]): number => seconds[writer][0] + seconds[writer][1];
  const table = new Table({
    head: ['', 'into empty tables', 'again', 'values per second', 'shelfcast is faster'],
    style: { head: [], border: [], compact: true },
  });
  for (const writer of WRITERS) {
    const [first, again] = seconds[writer];
    table.push([
      NAMES[writer],
      `${first.toFixed(2)} s`,
      `${again.toFixed(2)} s`,
      Math.round((2 * values) / total(writer)),
      `${(total(writer) / total('shelfcast')).toFixed(1)} times`,
    ]);
  }
  process.stdout.write(`${salesRows} rows of sales, ${values} values online\n${table.toString()}\n`);
  const line = {
    bench: 'features',
    materializeVsFeastLocal: round(total('feastLocal') / total('shelfcast')),
    materializeVsFeastRay: round(total('feastRay') / total('shelfcast')),
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function round(value: number): number {
  return Number(value.toFixed(2));
}
