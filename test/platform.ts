/** The whole local platform for tests, in a state folder of its own: every service real, each may be killed. */
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Endpoints } from '../contracts/endpoints.ts';
import type { LocalConfig } from '../infra/local/services.ts';
import { localEnvironment, startServices, stopServices } from '../infra/local/services.ts';
import type { LocalState, Secrets } from '../infra/local/state.ts';
import { localState, readSecrets } from '../infra/local/state.ts';
import { programStates, restartProgram } from '../infra/local/supervisor.ts';

export const PROJECT_DIR = dirname(dirname(fileURLToPath(import.meta.url)));
const RESTART_TIMEOUT_MS = 60_000;

export interface TestPlatform {
  config: LocalConfig;
  state: LocalState;
  endpoints: Endpoints;
  secrets: Secrets;
  /** Environment of the worker and the router. */
  environment: Record<string, string>;
  /** Ids of the first process of each program that runs, by name (`postgres`, `temporal`, `ray`, `mlflow`, `worker`, ...). */
  pids(): Promise<Map<string, number>>;
  /** SIGKILLs the program's process and waits until supervisord has started another. Returns its id. */
  kill(name: string): Promise<number>;
  /** Stops the program in good order and starts it again. */
  restart(name: string): Promise<void>;
  /** Waits until every service answers again. */
  waitUntilUp(): Promise<void>;
  /** Ends all services. The state folder stays, for a look at its logs. */
  stop(): Promise<void>;
}

/** Starts all services on empty data. `name` keeps platforms of test files that run side by side apart. */
export async function startTestPlatform(name = 'platform'): Promise<TestPlatform> {
  const home = process.env['SHELFCAST_TEST_HOME'] ?? join(PROJECT_DIR, '.shelfcast', 'test');
  const config: LocalConfig = { projectDir: PROJECT_DIR, stateDir: join(home, name), addresses: {} };
  const state = localState(config.projectDir, config.stateDir);
  await stopServices(config);
  rmSync(state.dir, { recursive: true, force: true });
  const endpoints = await startServices(config, () => undefined).catch(async (error: unknown) => {
    await stopServices(config);
    throw error;
  });
  return {
    config,
    state,
    endpoints,
    secrets: readSecrets(state),
    environment: localEnvironment(config),
    pids: () => runningPids(state),
    kill: (program) => killProgram(state, program),
    restart: (program) => restartProgram(state, program),
    waitUntilUp: async () => {
      await startServices(config, () => undefined);
    },
    stop: () => stopServices(config),
  };
}

async function runningPids(state: LocalState): Promise<Map<string, number>> {
  const pids = new Map<string, number>();
  for (const [name, { pid }] of await programStates(state)) if (pid !== null) pids.set(name, pid);
  return pids;
}

export async function killProgram(state: LocalState, name: string): Promise<number> {
  const killed = await programPid(state, name);
  process.kill(killed, 'SIGKILL');
  return programPid(state, name, killed);
}

/** Waits until the program has a process with another id than `old`, and returns that id. */
export async function programPid(
  state: LocalState,
  name: string,
  old: number | null = null,
): Promise<number> {
  const begin = Date.now();
  while (Date.now() - begin < RESTART_TIMEOUT_MS) {
    const pid = (await runningPids(state)).get(name);
    if (pid !== undefined && pid !== old) return pid;
    await sleep(200);
  }
  const be = old === null ? 'have it' : `start it again after the death of process ${old}`;
  throw new Error(`supervisord did not ${be} within ${RESTART_TIMEOUT_MS} ms: ${name}`);
}
