/** A platform for benchmarks, with empty data. */
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { TASK_QUEUE } from '../../contracts/names.ts';
import type { PipelineInput, PipelineResult } from '../../contracts/pipeline.ts';
import type { LocalConfig } from '../../infra/local/services.ts';
import { down, localEnvironment, up } from '../../infra/local/services.ts';
import { localState } from '../../infra/local/state.ts';
import { connect } from '../../client/client.ts';

// Without a slash at its end: what is installed is stamped with the folder's name.
const projectDir = resolve(import.meta.dirname, '../..');
export const config: LocalConfig = {
  projectDir,
  stateDir: join(projectDir, '.shelfcast', 'bench'),
  addresses: {},
};
export const state = localState(projectDir, config.stateDir);

/** @param work function that gets the seconds in which the services started */
export async function onFreshPlatform(work: (servicesSeconds: number) => Promise<void>): Promise<void> {
  await down(config);
  rmSync(state.dir, { recursive: true, force: true });
  try {
    await work(
      await secondsOf(async () => {
        await up(config, () => undefined);
      }),
    );
  } finally {
    await down(config);
  }
}

/** Runs one pipeline; the seconds are from the start of its workflow to its result. */
export async function runPipeline(
  input: PipelineInput = {},
): Promise<{ result: PipelineResult; seconds: number }> {
  const { TEMPORAL_ADDRESS: address = '' } = localEnvironment(config);
  const shelfcast = await connect({ address, namespace: 'default', taskQueue: TASK_QUEUE });
  try {
    const begin = performance.now();
    const run = await shelfcast.startPipeline(input);
    return { result: await run.result(), seconds: (performance.now() - begin) / 1_000 };
  } finally {
    await shelfcast.close();
  }
}

export async function secondsOf(work: () => Promise<void>): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1_000;
}
