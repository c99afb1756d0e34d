/** The command `inspect`, which runs a Python program, needs no services and loads nothing. */
import { join } from 'node:path';
import { execa } from 'execa';
import { readLocalConfig, userPath } from '../config/environment.ts';
import { ensurePython } from '../infra/local/toolchain.ts';
import type { DeclarationOptions } from './declaration.ts';
import { declarationOf } from './declaration.ts';
import { printProgress } from './output.ts';

export interface InspectOptions extends DeclarationOptions {
  query?: string;
  addressVariable?: string;
  write?: string;
}

/** Resolves to the exit code of the Python program. */
export async function inspect(data: string | undefined, options: InspectOptions): Promise<number> {
  const args = argumentsOf(data, options);
  const { projectDir, cacheDir } = readLocalConfig();
  await ensurePython({ projectDir, cacheDir }, printProgress);
  const python = join(projectDir, 'ml', '.venv', 'bin', 'python');
  const { exitCode } = await execa(python, ['-m', 'shelfcast.inspection', ...args], {
    stdio: 'inherit',
    reject: false,
  });
  return exitCode ?? 1;
}

/** Arguments of the Python program. */
export function argumentsOf(
  data: string | undefined,
  { query, addressVariable, write, ...declarationOptions }: InspectOptions,
): string[] {
  const declaration = declarationOf(declarationOptions);
  const values = {
    data: data === undefined || /^(https?|s3):/.test(data) ? data : userPath(data),
    query,
    'address-variable': addressVariable,
    declaration: declaration === undefined ? undefined : JSON.stringify(declaration),
    write: write === undefined ? undefined : userPath(write),
  };
  return Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]));
}
