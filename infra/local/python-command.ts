/** How a job's module is run, whatever runs it. */
import type { JobSpec } from '../platform.ts';

/** Of a job's log, for messages. */
export const LOG_LINES = 100;

export function pythonCommand(python: string, { module, args, trainingProcesses }: JobSpec): string[] {
  const launcher =
    trainingProcesses === undefined
      ? []
      : ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', String(trainingProcesses)];
  return [python, ...launcher, '-m', module, ...args];
}
