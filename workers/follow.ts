/** Follows a run to its end and tells, line by line, what happens. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isGrpcServiceError } from '@temporalio/client';
import type { PipelineProgress } from '../contracts/progress.ts';
import { STAGES } from '../contracts/stages.ts';
import type { RunHandle } from './client.ts';

const POLL_MS = 500;
/** A server that restarts is back within seconds; one that is away longer than this needs a person. */
const OUTAGE_MS = 5 * 60_000;

/**
 * Returns when the run has ended well; the run itself does not depend on being followed.
 * @throws PipelineError as `result` does
 */
export async function follow<T>(run: RunHandle<T>, tell: (line: string) => void): Promise<T> {
  const teller = createTeller(tell);
  let answeredAt = Date.now();
  for (;;) {
    const result = run.result();
    // Looked at below; until then its failure must not end the process.
    const ended = result.then(
      () => true,
      () => true,
    );
    while (!(await Promise.race([ended, sleep(POLL_MS, false)]))) {
      if (await look(run, teller)) answeredAt = Date.now();
    }
    try {
      const value = await result;
      await look(run, teller);
      return value;
    } catch (error) {
      if (!isGrpcServiceError(error) || Date.now() - answeredAt > OUTAGE_MS) throw error;
      tell('Temporal does not answer; waiting for it');
      await sleep(POLL_MS * 4);
    }
  }
}

/** False when the server or the worker did not answer just now. */
async function look(run: RunHandle<unknown>, teller: ReturnType<typeof createTeller>): Promise<boolean> {
  try {
    teller.tellProgress(await run.progress());
    for (const { activity, attempt, progress, lastFailure } of await run.pendingWork()) {
      if (progress !== null) teller.tellOnce(`  ${progress}`);
      if (lastFailure !== null) teller.tellOnce(`  ${activity}, attempt ${attempt}: ${lastFailure}`);
    }
    return true;
  } catch {
    return false;
  }
}

function createTeller(tell: (line: string) => void) {
  const told = new Set<string>();
  const tellOnce = (line: string): void => {
    if (told.has(line)) return;
    told.add(line);
    tell(line);
  };
  return {
    tellOnce,
    tellProgress(progress: PipelineProgress): void {
      for (const stage of STAGES) {
        const { status, summary } = progress.stages[stage];
        if (status === 'waiting') continue;
        tellOnce(`${stage} ${status}${summary === null ? '' : `: ${summary}`}`);
      }
      if (progress.waitingFor === 'approval') {
        tellOnce('  waits for a person: `npx shelfcast approve`, or `npx shelfcast abort --reason "..."`');
      }
    },
  };
}
