/** Progress of a run until its end: a line for each event, and on a terminal a progress bar. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  isGrpcServiceError,
  QueryNotRegisteredError,
  QueryRejectedError,
  ServiceError,
} from '@temporalio/client';
import { DEFAULT_MODEL_NAME } from '../contracts/names.ts';
import type { PipelineProgress } from '../contracts/progress.ts';
import { STAGES } from '../contracts/stages.ts';
import type { PendingWork, RunHandle } from '../client/client.ts';
import type { ProgressPrinter } from './output.ts';

const POLL_MS = 500;
/** Time until a server that does not answer is an error; one that restarts is back within seconds. */
const OUTAGE_MS = 5 * 60_000;
const BAR_CELLS = 24;

/**
 * Resolves to the run's result. The end of this process does not end the run.
 * @throws ShelfcastError as `result` does
 */
export async function follow<T>(run: RunHandle<T>, printer: ProgressPrinter, modelName: string): Promise<T> {
  const runLog = createRunLog(printer, modelName);
  try {
    return await followUntilEnd(run, printer, runLog);
  } finally {
    printer.draw('');
  }
}

async function followUntilEnd<T>(run: RunHandle<T>, printer: ProgressPrinter, runLog: RunLog): Promise<T> {
  let answeredAt = Date.now();
  for (;;) {
    const result = run.result();
    // The result is awaited below. Until then its failure must not end the process.
    const ended = result.then(
      () => true,
      () => true,
    );
    while (!(await Promise.race([ended, sleep(POLL_MS, false)]))) {
      if (await poll(run, runLog)) answeredAt = Date.now();
    }
    try {
      const value = await result;
      await poll(run, runLog);
      return value;
    } catch (error) {
      if (!isUnanswered(error) || Date.now() - answeredAt > OUTAGE_MS) throw error;
      printer.printLine('Temporal does not answer; waiting for it');
      await sleep(POLL_MS * 4);
    }
  }
}

/** Returns false when the server or the worker does not answer. */
async function poll(run: RunHandle<unknown>, runLog: RunLog): Promise<boolean> {
  try {
    runLog.addProgress(await run.progress());
    runLog.addWork(await run.pendingWork());
    return true;
  } catch (error) {
    if (isUnanswered(error)) return false;
    throw error;
  }
}

/** Whether an error is of the server, or of a query that no worker can answer. */
const isUnanswered = (error: unknown): boolean =>
  error instanceof ServiceError ||
  error instanceof QueryNotRegisteredError ||
  error instanceof QueryRejectedError ||
  isGrpcServiceError(error);

/** Message for a run that waits for approval, with the commands that answer it. */
export function approvalMessage(modelName: string): string {
  const option = modelName === DEFAULT_MODEL_NAME ? '' : ` --model ${modelName}`;
  return `waiting for approval: \`npx shelfcast approve${option}\`, or \`npx shelfcast abort${option} --reason "..."\``;
}

type RunLog = ReturnType<typeof createRunLog>;

/** Prints each line once. */
function createRunLog({ printLine, draw, canDraw }: ProgressPrinter, modelName: string) {
  const printed = new Set<string>();
  const printOnce = (line: string): void => {
    if (printed.has(line)) return;
    printed.add(line);
    printLine(line);
  };
  return {
    addProgress(progress: PipelineProgress): void {
      for (const stage of STAGES) {
        const { status, summary } = progress.stages[stage];
        if (status === 'waiting') continue;
        printOnce(`${stage} ${status}${summary === null ? '' : `: ${summary}`}`);
      }
      if (progress.waitingFor === 'approval') printOnce(`  ${approvalMessage(modelName)}`);
    },
    addWork(work: PendingWork[]): void {
      for (const { activity, attempt, progress, lastFailure } of work) {
        if (progress !== null && !canDraw) printOnce(`  ${progress}`);
        if (lastFailure !== null) printOnce(`  ${activity}, attempt ${attempt}: ${lastFailure}`);
      }
      draw(work.map(barOf).join('   '));
    },
  };
}

/** Returns for example `train  [######------------------]  25 %  epoch 3 of at most 12`, without unknown parts. */
function barOf({ activity, progress, fraction }: PendingWork): string {
  return [activity, fraction === null ? null : bar(fraction), progress]
    .filter((part) => part !== null)
    .join('  ');
}

function bar(fraction: number): string {
  const cells = '#'.repeat(Math.round(fraction * BAR_CELLS)).padEnd(BAR_CELLS, '-');
  return `[${cells}] ${Math.floor(fraction * 100)
    .toString()
    .padStart(3)} %`;
}
