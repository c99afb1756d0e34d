// Runs other programs for the npm commands, without any package.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const PROJECT = dirname(dirname(fileURLToPath(import.meta.url)));
export const ML = join(PROJECT, 'ml');
/** Path of a program of node_modules. */
export const nodeBin = (name) => join(PROJECT, 'node_modules', '.bin', name);
/** Path of a program of the Python environment. */
export const pythonBin = (name) => join(ML, '.venv', 'bin', name);

export function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** Runs a program and resolves to its exit code. The child is in the same process group, so it gets interrupts itself. */
export function run(program, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: PROJECT, stdio: 'inherit', ...options });
    const wait = () => undefined;
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, wait);
    child.on('error', (error) => {
      process.stderr.write(`cannot run ${program}: ${error.message}\n`);
      resolve(127);
    });
    child.on('close', (code) => {
      for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, wait);
      resolve(code ?? 1);
    });
  });
}

/** Runs a TypeScript file of the project from its source. */
export const runTypescript = (file, args) =>
  run(process.execPath, ['--import', 'tsx', join(PROJECT, file), ...args]);
