/** The commands that start, follow, approve and end runs. */
import { DEFAULT_MODEL_NAME } from '../contracts/names.ts';
import { EXIT_CODES } from './exit-codes.ts';
import { print } from './output.ts';
import type { Connect } from './with-shelfcast.ts';
import type { InputOptions } from './run-input.ts';
import { inputOf, updateInputOf } from './run-input.ts';
import { championDataset, followAndReport } from './run-once.ts';
import { withShelfcast, withCurrentRun } from './with-shelfcast.ts';

/** Resolves to the exit code. */
export function runPipeline(
  connect: Connect,
  { detach = false, ...options }: InputOptions & { detach?: boolean },
): Promise<number> {
  const input = inputOf(options);
  return withShelfcast(connect, async (shelfcast) => {
    const run = await shelfcast.startPipeline(input);
    if (!detach) return followAndReport(run, input.modelName ?? DEFAULT_MODEL_NAME);
    print(run.workflowId);
    return EXIT_CODES.done;
  });
}

/** Resolves to the exit code. */
export function ingest(
  connect: Connect,
  { train = false, ...options }: InputOptions & { train?: boolean },
): Promise<number> {
  const update = updateInputOf(options);
  return withShelfcast(connect, async (shelfcast) => {
    const model = update.modelName ?? DEFAULT_MODEL_NAME;
    if (!train) return followAndReport(await shelfcast.startUpdate(update), model);
    const dataset = update.dataset ?? (await championDataset(model));
    return followAndReport(await shelfcast.startPipeline(inputOf({ ...options, dataset })), model);
  });
}

/** Resolves to the exit code. */
export const watch = (connect: Connect, model: string): Promise<number> =>
  withCurrentRun(connect, model, (run) => followAndReport(run, model));

export const approve = (connect: Connect, model: string, by: string | undefined): Promise<void> =>
  withCurrentRun(connect, model, async (run) => {
    print(await run.approve(by));
  });

export const abort = (connect: Connect, model: string, reason: string): Promise<void> =>
  withCurrentRun(connect, model, async (run) => {
    print(await run.abort(reason));
  });

export const cancel = (connect: Connect, model: string): Promise<void> =>
  withCurrentRun(connect, model, async (run) => {
    await run.cancel();
    print(`cancelling ${run.workflowId}`);
  });
