/** Platform for benchmarks, without data. */
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { TASK_QUEUE } from '../../contracts/names.ts';
import type { PipelineInput, PipelineResult } from '../../contracts/pipeline.ts';
import { RAY_CONNECTIONS } from '../../infra/local/programs.ts';
import type { LocalConfig } from '../../infra/local/services.ts';
import { localEnvironment, startServices, stopServices } from '../../infra/local/services.ts';
import { localState, readPorts } from '../../infra/local/state.ts';
import { connect } from '../../client/client.ts';

// No slash at the end, because the stamp of an installation contains the folder's name.
const projectDir = resolve(import.meta.dirname, '../..');
export const config: LocalConfig = {
  projectDir,
  stateDir: join(projectDir, '.shelfcast', 'bench'),
  addresses: {},
};
export const state = localState(projectDir, config.stateDir);

/** Runs `work` on a new platform. @param work function that gets the seconds in which the services started */
export async function onFreshPlatform(work: (servicesSeconds: number) => Promise<void>): Promise<void> {
  await stopServices(config);
  rmSync(state.dir, { recursive: true, force: true });
  try {
    await work(
      await secondsOf(async () => {
        await startServices(config, () => undefined);
      }),
    );
  } finally {
    await stopServices(config);
  }
}

/** Returns the environment of programs that connect to the platform's Ray themselves. */
export const rayEnvironment = (): Record<string, string> => ({
  ...localEnvironment(config),
  RAY_ADDRESS: `127.0.0.1:${readPorts(state).ray}`,
  ...RAY_CONNECTIONS,
});

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
