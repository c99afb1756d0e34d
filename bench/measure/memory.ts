/** Total memory of all processes of a local platform. */
import { readFileSync } from 'node:fs';
import { ownProcesses } from '../../infra/local/processes.ts';
import type { LocalState } from '../../infra/local/state.ts';

const INTERVAL_MS = 1_000;

/** Samples the memory until `stop`, which returns the peak in MiB. */
export function watchMemory(state: LocalState): { stop: () => number } {
  let peakKiB = 0;
  const timer = setInterval(() => {
    const sum = ownProcesses(state).reduce((total, pid) => total + proportionalKiB(pid), 0);
    peakKiB = Math.max(peakKiB, sum);
  }, INTERVAL_MS);
  return {
    stop: () => {
      clearInterval(timer);
      return Math.round(peakKiB / 1024);
    },
  };
}

/** Memory of a process as Pss, in which shared pages count once in a sum over processes. */
function proportionalKiB(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0; // The process ended meanwhile.
  }
}
