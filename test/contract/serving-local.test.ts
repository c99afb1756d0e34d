/** The local adapter on real processes: supervisord, the router, predictors, PostgreSQL. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { nodeProgram } from '../../infra/local/programs.ts';
import { freePort } from '../../infra/local/ports.ts';
import { ownProcesses } from '../../infra/local/processes.ts';
import { createLocalServing } from '../../infra/local/serving.ts';
import { localState, prepareState } from '../../infra/local/state.ts';
import { ensureProgram, ensureSupervisor, stopSupervisor } from '../../infra/local/supervisor.ts';
import { PROJECT_DIR } from '../platform.ts';
import { eventually, removeFolder, scratchFolder, startFeatureDatabase } from '../predictor/processes.ts';
import { modelHash, writeModels } from '../predictor/python.ts';
import { servingContract } from './serving.ts';

const OFFSETS = [0, 500, -250];
const TOKEN = 'only-for-this-test';

/** Entries are separated by NUL; empty when the process ended meanwhile. */
function procFile(pid: number, file: 'cmdline' | 'environ'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8').replace(/\0$/, '');
  } catch {
    return '';
  }
}

/** Kills without warning and returns when the processes are gone. */
async function end(pids: number[]): Promise<void> {
  if (pids.length === 0) throw new Error('there is no process to end');
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  await eventually(`the end of ${pids.join()}`, () =>
    Promise.resolve(pids.every((pid) => procFile(pid, 'cmdline') === '') ? (true as const) : undefined),
  );
}

servingContract('local', async () => {
  const folder = await scratchFolder();
  const models = join(folder, 'models');
  const [database] = await Promise.all([startFeatureDatabase(folder), writeModels(models, OFFSETS)]);
  const state = localState(PROJECT_DIR, join(folder, 'state'));
  prepareState(state);
  await ensureSupervisor(state);
  const port = await freePort();
  const routerUrl = `http://127.0.0.1:${port}`;
  await ensureProgram(
    state,
    nodeProgram(state, 'router', 'predictor/router-main.ts', {
      ROUTER_PORT: String(port),
      ROUTER_ADMIN_TOKEN: TOKEN,
      ROUTER_STATE: join(state.dir, 'router.json'),
    }),
  );
  const routerAnswers = (): Promise<true> =>
    eventually('the router', () =>
      fetch(`${routerUrl}/healthz`).then(
        () => true as const,
        () => undefined,
      ),
    );
  await routerAnswers();
  const processesOf = (main: string, environment: string): number[] =>
    ownProcesses(state).filter(
      (pid) => procFile(pid, 'cmdline').endsWith(main) && procFile(pid, 'environ').includes(environment),
    );
  const predictors = (version: number): number[] =>
    processesOf('predictor/main.ts', `MODEL_VERSION=${version}`);
  const routers = (): number[] => processesOf('predictor/router-main.ts', 'ROUTER_STATE');
  const open = () =>
    createLocalServing({ state, routerUrl, routerAdminToken: TOKEN, databaseUrl: database.url });
  return {
    serving: open(),
    another: open,
    modelUri: (version) => pathToFileURL(join(models, String(version))).href,
    modelHash: (version) => modelHash(join(models, String(version))),
    offsetOf: (version) => OFFSETS[version - 1] ?? NaN,
    processes: (version) => Promise.resolve(predictors(version)),
    survivesCrashes: true,
    async crash(version) {
      await end(predictors(version));
    },
    async crashRouter() {
      await end(routers());
      await routerAnswers();
    },
    async close() {
      await stopSupervisor(state);
      await database.stop();
      await Promise.all([removeFolder(folder), removeFolder(state.runDir)]);
    },
  };
});
