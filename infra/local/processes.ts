/** Finding and ending the processes of one local platform, also orphans (Linux, /proc). */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalState } from './state.ts';

/** Environment variable of every supervised program and its children; its value is the private folder of the state. */
export const OWNER_VARIABLE = 'SHELFCAST_SUPERVISED_BY';

/** Returns the start time of the process in clock ticks since boot, as text; null when it does not exist or is a zombie. */
export function processStartTicks(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

/**
 * Returns the ids of all living processes that programs of this state folder started. Ray's workers overwrite their environment
 * with their title; their open log files identify them.
 */
export function ownProcesses(state: LocalState): number[] {
  return processIds().filter(
    (pid) =>
      pid !== process.pid &&
      processStartTicks(pid) !== null &&
      (hasVariable(pid, OWNER_VARIABLE, state.runDir) || isRayWithFileBelow(pid, `${state.runDir}/`)),
  );
}

/** Returns the ids of all living processes with `name=value` in their environment. */
export function processesWithVariable(name: string, value: string): number[] {
  return processIds().filter((pid) => processStartTicks(pid) !== null && hasVariable(pid, name, value));
}

function processIds(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
}

function hasVariable(pid: number, name: string, value: string): boolean {
  try {
    return `\0${readFileSync(`/proc/${pid}/environ`, 'utf8')}`.includes(`\0${name}=${value}\0`);
  } catch {
    return false; // The process ended in between, or is another user's.
  }
}

function isRayWithFileBelow(pid: number, prefix: string): boolean {
  try {
    if (!readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('ray')) return false;
    return readdirSync(`/proc/${pid}/fd`).some((fd) => openFile(pid, fd).startsWith(prefix));
  } catch {
    return false;
  }
}

function openFile(pid: number, fd: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return '';
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Ends all processes that `find` returns, with the signal `first` and after `graceMs` with SIGKILL. Calls `find` again each time,
 * because a dying process may start another.
 */
export async function endProcesses(
  find: () => number[],
  {
    graceMs,
    first = 'SIGTERM',
    timeoutMs = 30_000,
  }: { graceMs: number; first?: NodeJS.Signals; timeoutMs?: number },
): Promise<void> {
  const begin = Date.now();
  for (let pids = find(); pids.length > 0; pids = find()) {
    const waitedMs = Date.now() - begin;
    if (waitedMs > timeoutMs)
      throw new Error(`processes ${pids.join(', ')} did not end within ${timeoutMs} ms`);
    for (const pid of pids) signal(pid, waitedMs < graceMs ? first : 'SIGKILL');
    await sleep(100);
  }
}
