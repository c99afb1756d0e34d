/**
 * The predictor's reader of online features, for online_read.py: takes the reads as JSON on standard input and prints
 * the values and the milliseconds of each timed read.
 */
import { text } from 'node:stream/consumers';
import { modelManifestSchema } from '../../contracts/model.ts';
import { openPool } from '../../predictor/feast-tables.ts';
import { createOnlineFeatures } from '../../predictor/online-features.ts';

interface Reads {
  manifest: unknown;
  /** Rows of each read, by number of entities. */
  reads: Record<string, { store: number; dept: number }[][]>;
  horizon: number;
}

const { DATABASE_URL: url = '' } = process.env;
const { manifest: described, reads, horizon } = JSON.parse(await text(process.stdin)) as Reads;
const manifest = modelManifestSchema.parse(described);
const pool = openPool(url);
const features = createOnlineFeatures(pool, manifest);

async function read(series: Reads['reads'][string][number]): Promise<Float64Array> {
  const matrix = new Float64Array(series.length * manifest.features.length).fill(NaN);
  await features.read(
    series.map((one, instance) => ({ ...one, instance, horizon, asked: { ...one, index: instance } })),
    matrix,
  );
  return matrix;
}

const values: Record<string, (number | null)[][]> = {};
const milliseconds: Record<string, number[]> = {};
for (const [entities, several] of Object.entries(reads)) {
  values[entities] = [];
  for (const series of several) {
    const matrix = await read(series);
    values[entities].push(Array.from(matrix, (value) => (Number.isNaN(value) ? null : value)));
  }
  milliseconds[entities] = [];
  for (const series of several) {
    const begin = performance.now();
    await read(series);
    milliseconds[entities].push(performance.now() - begin);
  }
}
await pool.end();
process.stdout.write(JSON.stringify({ values, milliseconds }));
