/** Programs of the Python package that need no services. */
import { join } from 'node:path';
import { execa } from 'execa';
import { readLocalConfig } from '../config/environment.ts';
import { ensurePython } from '../infra/local/toolchain.ts';
import { printProgress } from './output.ts';

/** Runs a module of the package in this terminal and resolves to its exit code. */
export async function runPython(module: string, args: string[]): Promise<number> {
  const { projectDir, cacheDir } = readLocalConfig();
  await ensurePython({ projectDir, cacheDir }, printProgress);
  const python = join(projectDir, 'ml', '.venv', 'bin', 'python');
  const { exitCode } = await execa(python, ['-m', module, ...args], { stdio: 'inherit', reject: false });
  return exitCode ?? 1;
}
