/**
 * Speed of computing, materializing and reading features, compared with pandas and Feast's writers and readers.
 * `npm run bench -- features [--only compute|materialize|read] [--small]`; `--small` leaves out 3 million rows.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { z } from 'zod';
import { config, onFreshPlatform, rayEnvironment, state } from './measure/platform.ts';
import { inSeconds, newTable, round } from './measure/table.ts';

/** Stores, departments and weeks of generated sales. */
type Size = [number, number, number];
const PIPELINE: Size = [45, 14, 104];
/** Number of series and weeks about as in the public Walmart data. */
const REAL: Size = [45, 68, 100];
const LARGE: Size = [300, 98, 104];

/** Reads and writers by the names that the measuring programs give them. */
const WRITERS = {
  feastLocal: 'Feast, local engine',
  feastRay: 'Feast, Ray engine',
  shelfcast: 'shelfcast',
} as const;
const READERS = { predictor: 'predictor', sdk: 'Feast SDK', server: 'Feast feature server' } as const;
const ENTITIES = ['1', '10', '100'] as const;

const computed = z.object({
  salesRows: z.number(),
  /** Seconds by number of Ray workers; 0 is pandas. */
  seconds: z.record(z.string(), z.number()),
  peakMiB: z.number(),
});
const materialized = z.object({
  salesRows: z.number(),
  values: z.number(),
  /** Seconds of writing into empty tables, then of overwriting all values. */
  seconds: z.record(z.enum(['feastLocal', 'feastRay', 'shelfcast']), z.tuple([z.number(), z.number()])),
});
const read = z.object({
  /** Milliseconds, p50 and p99. */
  entities: z.record(
    z.enum(ENTITIES),
    z.record(z.enum(['predictor', 'sdk', 'server']), z.tuple([z.number(), z.number()])),
  ),
});

const PARTS = ['compute', 'materialize', 'read'] as const;
const { values: options } = parseArgs({
  options: { only: { type: 'string' }, small: { type: 'boolean', default: false } },
});
if (options.only !== undefined && !PARTS.some((part) => part === options.only)) {
  throw new RangeError(`--only is ${options.only}; it can be ${PARTS.join(', ')}`);
}
const wanted = (part: (typeof PARTS)[number]): boolean => options.only === undefined || options.only === part;

await onFreshPlatform(async () => {
  const line = {
    bench: 'features',
    ...(wanted('compute') ? await compute() : {}),
    ...(wanted('materialize') ? await materialize() : {}),
    ...(wanted('read') ? await readOnline() : {}),
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
});

async function compute(): Promise<Record<string, number | null>> {
  const table = newTable('rows of sales', 'pandas', '1 worker', '2 workers', 'rows per second', 'faster');
  const measure = async (size: Size, workers: number[]): Promise<z.infer<typeof computed>> => {
    const result = computed.parse(await python('compute.py', [...size, ...workers]));
    const [pandas, one, two] = ['0', '1', '2'].map((number) => result.seconds[number]);
    table.push([
      result.salesRows,
      inSeconds(pandas),
      inSeconds(one),
      inSeconds(two),
      Math.round(result.salesRows / (two ?? NaN)),
      pandas === undefined || two === undefined ? '' : `${(pandas / two).toFixed(1)} times`,
    ]);
    return result;
  };
  await measure(PIPELINE, [1, 2, 0]);
  const real = await measure(REAL, [1, 2, 0]);
  const large = options.small ? null : await measure(LARGE, [2]);
  process.stdout.write(`Computing features\n${table.toString()}\n`);
  if (large !== null) process.stdout.write(`at most ${large.peakMiB} MiB at ${large.salesRows} rows\n`);
  const secondsOf = (result: z.infer<typeof computed>, workers: string): number =>
    result.seconds[workers] ?? NaN;
  return {
    computeVsPandas: round(secondsOf(real, '0') / secondsOf(real, '2'), 2),
    /** Ratio of the seconds over the ratio of the rows: 1 is linear, less is better. */
    computeGrowth306kTo3M:
      large && round(secondsOf(large, '2') / secondsOf(real, '2') / (large.salesRows / real.salesRows), 2),
    peakMemoryMiB3M: large && large.peakMiB,
  };
}

async function materialize(): Promise<Record<string, number>> {
  const { salesRows, values, seconds } = materialized.parse(await python('materialization.py', REAL));
  const total = (writer: keyof typeof WRITERS): number => seconds[writer][0] + seconds[writer][1];
  const table = newTable(
    '',
    'into empty tables',
    'overwriting all values',
    'values per second',
    'shelfcast is faster',
  );
  for (const writer of keysOf(WRITERS)) {
    const [first, again] = seconds[writer];
    table.push([
      WRITERS[writer],
      inSeconds(first),
      inSeconds(again),
      Math.round((2 * values) / total(writer)),
      `${(total(writer) / total('shelfcast')).toFixed(1)} times`,
    ]);
  }
  process.stdout.write(`${salesRows} rows of sales, ${values} values online\n${table.toString()}\n`);
  return {
    materializeVsFeastLocal: round(total('feastLocal') / total('shelfcast'), 2),
    materializeVsFeastRay: round(total('feastRay') / total('shelfcast'), 2),
  };
}

async function readOnline(): Promise<Record<string, number>> {
  const { entities } = read.parse(await python('online_read.py', PIPELINE));
  const table = newTable('milliseconds, p50 / p99', ...ENTITIES.map((n) => `${n} entities`));
  for (const reader of keysOf(READERS)) {
    table.push([
      READERS[reader],
      ...ENTITIES.map((n) => entities[n][reader].map((ms) => ms.toFixed(2)).join(' / ')),
    ]);
  }
  process.stdout.write(`Reading online features\n${table.toString()}\n`);
  // Size with the smallest gain.
  const faster = (reader: 'sdk' | 'server'): number =>
    round(Math.min(...ENTITIES.map((n) => entities[n][reader][0] / entities[n].predictor[0])), 2);
  return { onlineP50VsFeatureServer: faster('server'), onlineP50VsSdk: faster('sdk') };
}

/** Runs a program of bench/measure with the platform's addresses; returns the JSON of its last line. */
async function python(program: string, args: readonly number[]): Promise<unknown> {
  const { stdout } = await execa(
    join(state.venvDir, 'bin', 'python'),
    [join(config.projectDir, 'bench', 'measure', program), ...args.map(String)],
    {
      env: rayEnvironment(),
      stdin: 'ignore',
      stderr: 'inherit',
    },
  );
  return JSON.parse(stdout.slice(stdout.lastIndexOf('\n') + 1)) as unknown;
}

function keysOf<K extends string>(record: Record<K, unknown>): K[] {
  return Object.keys(record) as K[];
}
