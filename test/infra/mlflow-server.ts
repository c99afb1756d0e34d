/** MLflow's server as the local platform runs it, on an empty PostgreSQL. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { mlflowProgram } from '../../infra/local/programs.ts';
import { answersHttp } from '../../infra/local/readiness.ts';
import { choosePorts, localState, prepareState } from '../../infra/local/state.ts';
import { PROJECT_DIR } from '../platform.ts';
import { removeFolder, scratchFolder, startFeatureDatabase } from '../predictor/processes.ts';

/** Its imports and first tables take 10 s of a free processor. */
const START_TIMEOUT_MS = 90_000;

export interface MlflowServer {
  url: string;
  stop(): Promise<void>;
}

export async function startMlflow(): Promise<MlflowServer> {
  const folder = await scratchFolder();
  const state = localState(PROJECT_DIR, join(folder, 'state'));
  prepareState(state);
  const ports = await choosePorts(state, true);
  const database = await startFeatureDatabase(folder);
  const { command, environment } = mlflowProgram(state, ports, database.url);
  const [program, ...args] = command as [string, ...string[]];
  const server = spawn(program, args, {
    cwd: state.dir,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [server.stdout, server.stderr]) {
    stream.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
  }
  const ended = once(server, 'close');

  const url = `http://127.0.0.1:${ports.mlflow}`;
  const stop = async (): Promise<void> => {
    server.kill('SIGTERM');
    await ended;
    await database.stop();
    await removeFolder(folder);
    await removeFolder(state.runDir);
  };
  // The first question makes the tables.
  const answers = answersHttp('MLflow', url, '/api/2.0/mlflow/experiments/search?max_results=1', {
    timeoutMs: START_TIMEOUT_MS,
  });
  const begin = Date.now();
  for (;;) {
    try {
      await answers();
      return { url, stop };
    } catch (cause) {
      if (server.exitCode === null && Date.now() - begin < START_TIMEOUT_MS) {
        await sleep(100);
        continue;
      }
      await stop();
      throw new Error(`MLflow does not answer at ${url}; it printed: ${output}`, { cause });
    }
  }
}
