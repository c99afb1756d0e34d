/** Lock between processes: a file that names its holder. A process takes over the lock of a dead holder. */
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processStartTicks } from './processes.ts';

const POLL_MS = 200;

/** Runs `work` while holding the lock; waits for a living holder. */
export async function withLock<T>(path: string, work: () => Promise<T>, onWait?: () => void): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  let reported = false;
  while (!tryLock(path)) {
    if (!reported) onWait?.();
    reported = true;
    await sleep(POLL_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

function tryLock(path: string): boolean {
  const mine = `${path}.${process.pid}`;
  // The start time distinguishes this process from a later one with the same id.
  writeFileSync(mine, `${process.pid} ${processStartTicks(process.pid) ?? ''}`);
  try {
    linkSync(mine, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (!holderLives(path)) rmSync(path, { force: true });
    return false;
  } finally {
    rmSync(mine, { force: true });
  }
}

function holderLives(path: string): boolean {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return false;
  }
  const [pid, startTicks] = text.split(' ');
  return processStartTicks(Number(pid)) === startTicks;
}
