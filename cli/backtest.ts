/** The command `backtest`, which runs a Python program and needs no services. */
import { join } from 'node:path';
import { execa } from 'execa';
import { ensurePython } from '../infra/local/toolchain.ts';
import { readLocalConfig, userPath } from '../config/environment.ts';
import type { DeclarationOptions } from './declaration.ts';
import { declarationOf } from './declaration.ts';
import { printProgress } from './output.ts';

export interface BacktestOptions extends DeclarationOptions {
  data: string;
  origins: string;
  out: string;
  horizon: string;
  preset: string;
  refit: string;
  baselines: string;
  processes?: string;
  maxEpochs?: string;
  seed?: string;
}

/** Resolves to the exit code of the Python program. */
export async function backtest({
  data,
  out,
  declaration: file,
  column,
  ignore,
  sum,
  weekEnds,
  timeZone,
  decimal,
  dateFormat,
  ...options
}: BacktestOptions): Promise<number> {
  const flags = { column, ignore, sum, weekEnds, timeZone, decimal, dateFormat };
  const declaration = declarationOf({ declaration: file, ...flags });
  const { projectDir, cacheDir } = readLocalConfig();
  await ensurePython({ projectDir, cacheDir }, printProgress);
  const declared = declaration === undefined ? {} : { declaration: JSON.stringify(declaration) };
  const all = { data: userPath(data), out: userPath(out), ...declared, ...options };
  const args = Object.entries(all).flatMap(([name, value]) => [
    `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    value,
  ]);
  const python = join(projectDir, 'ml', '.venv', 'bin', 'python');
  const { exitCode } = await execa(python, ['-m', 'shelfcast.backtest', ...args], {
    stdio: 'inherit',
    reject: false,
  });
  return exitCode ?? 1;
}
