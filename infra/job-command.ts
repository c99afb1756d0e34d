/** Command and environment of a job's Python module, the same on every platform. */
import type { JobSpec } from './platform.ts';

/** Environment variable of every process of a job: the job's name, and the platform's address where a machine has several platforms. */
export const JOB_VARIABLE = 'SHELFCAST_JOB';

/** Number of lines at the end of a job's log that are kept. */
export const LOG_LINES = 100;

export function pythonCommand(python: string, { module, args, trainingProcesses }: JobSpec): string[] {
  const launcher =
    trainingProcesses === undefined ? [] : ['shelfcast.ranks', '--processes', String(trainingProcesses)];
  return [python, '-m', ...launcher, module, ...args];
}

/** Quotes a word for a POSIX shell. */
export const shellQuote = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
