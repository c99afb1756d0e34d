/** Following of a run to its end: lines for what happens, and on a terminal a progress bar. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isGrpcServiceError } from '@temporalio/client';
import { DEFAULT_MODEL_NAME } from '../contracts/names.ts';
import type { PipelineProgress } from '../contracts/progress.ts';
import { STAGES } from '../contracts/stages.ts';
import type { PendingWork, RunHandle } from '../client/client.ts';
import type { Teller } from './output.ts';

const POLL_MS = 500;
/** Time until a server that does not answer is an error; one that restarts is back within seconds. */
const OUTAGE_MS = 5 * 60_000;
const BAR_CELLS = 24;

/**
 * Returns when the run has ended well; the run itself does not depend on being followed.
 * @throws PipelineError as `result` does
 */
export async function follow<T>(run: RunHandle<T>, teller: Teller, modelName: string): Promise<T> {
  const story = createStory(teller, modelName);
  try {
    return await followTo(run, teller, story);
  } finally {
    teller.draw('');
  }
}

async function followTo<T>(run: RunHandle<T>, teller: Teller, story: Story): Promise<T> {
  let answeredAt = Date.now();
  for (;;) {
    const result = run.result();
    // The result is awaited below; until then its failure must not end the process.
    const ended = result.then(
      () => true,
      () => true,
    );
    while (!(await Promise.race([ended, sleep(POLL_MS, false)]))) {
      if (await look(run, story)) answeredAt = Date.now();
    }
    try {
      const value = await result;
      await look(run, story);
      return value;
    } catch (error) {
      if (!isGrpcServiceError(error) || Date.now() - answeredAt > OUTAGE_MS) throw error;
      teller.tell('Temporal does not answer; waiting for it');
      await sleep(POLL_MS * 4);
    }
  }
}

/** Returns false when the server or the worker does not answer. */
async function look(run: RunHandle<unknown>, story: Story): Promise<boolean> {
  try {
    story.tellProgress(await run.progress());
    story.tellWork(await run.pendingWork());
    return true;
  } catch {
    return false;
  }
}

/** Sentence for a run that waits for a person, with the commands that answer it. */
export function waitsForApproval(modelName: string): string {
  const option = modelName === DEFAULT_MODEL_NAME ? '' : ` --model ${modelName}`;
  return `waiting for approval: \`npx shelfcast approve${option}\`, or \`npx shelfcast abort${option} --reason "..."\``;
}

type Story = ReturnType<typeof createStory>;

function createStory({ tell, draw, canDraw }: Teller, modelName: string) {
  const told = new Set<string>();
  const tellOnce = (line: string): void => {
    if (told.has(line)) return;
    told.add(line);
    tell(line);
  };
  return {
    tellProgress(progress: PipelineProgress): void {
      for (const stage of STAGES) {
        const { status, summary } = progress.stages[stage];
        if (status === 'waiting') continue;
        tellOnce(`${stage} ${status}${summary === null ? '' : `: ${summary}`}`);
      }
      if (progress.waitingFor === 'approval') tellOnce(`  ${waitsForApproval(modelName)}`);
    },
    tellWork(work: PendingWork[]): void {
      for (const { activity, attempt, progress, lastFailure } of work) {
        if (progress !== null && !canDraw) tellOnce(`  ${progress}`);
        if (lastFailure !== null) tellOnce(`  ${activity}, attempt ${attempt}: ${lastFailure}`);
      }
      draw(work.map(barOf).join('   '));
    },
  };
}

/** `train [######------------------]  25 %  epoch 3 of at most 12`, as far as it is known. */
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
