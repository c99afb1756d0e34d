/** Runs the Python fixtures of this folder with the project's own Python. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { PROJECT_DIR } from '../platform.ts';

const python = join(PROJECT_DIR, 'ml', '.venv', 'bin', 'python');

async function runFixture(script: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(python, [fileURLToPath(new URL(script, import.meta.url)), ...args]);
}

/** Writes `root/1`, `root/2`, ...: one model folder per offset. Forecasts are described in write_model.py. */
export const writeModels = (root: string, offsets: readonly number[]): Promise<void> =>
  runFixture('write_model.py', [root, ...offsets.map(String)]);

/** SHA-256 of the model.onnx of a model folder, as its model.json says. */
export const modelHash = async (folder: string): Promise<string> =>
  (JSON.parse(await readFile(join(folder, 'model.json'), 'utf8')) as { onnxSha256: string }).onnxSha256;

/** Writes Feast's online tables, with the rows of write_feast_rows.py. */
export const writeFeastRows = (databaseUrl: string): Promise<void> =>
  runFixture('write_feast_rows.py', [databaseUrl]);

/** Makes features of generated sales and a model of all of them; write_features.py says what the folder gets. */
export const writeFeatures = (databaseUrl: string, folder: string): Promise<void> =>
  runFixture('write_features.py', [databaseUrl, folder]);
