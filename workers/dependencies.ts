/** The real things that activities use, built from the configuration. */
import { join } from 'node:path';
import { Pool } from 'pg';
import type { Dependencies } from '../activities/dependencies.ts';
import { ProgramJobs } from '../infra/local/program-jobs.ts';
import { RayJobs } from '../infra/local/ray-jobs.ts';
import { createLocalServing } from '../infra/local/serving.ts';
import { localState } from '../infra/local/state.ts';
import { createMlflow } from '../infra/mlflow.ts';
import type { WorkerConfig } from './config.ts';

const CONNECT_TIMEOUT_MS = 10_000;

export function createDependencies(config: WorkerConfig): Dependencies & { close: () => Promise<void> } {
  const state = localState(config.projectDir, config.stateDir);
  const python = join(state.venvDir, 'bin', 'python');
  const database = new Pool({
    connectionString: config.databaseUrl,
    max: 5,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    options: '-c timezone=UTC',
  });
  // An idle connection that breaks is replaced when it is next needed; unheard, its error would end the process.
  database.on('error', () => undefined);
  return {
    jobs: new RayJobs({
      address: config.rayUrl,
      token: config.rayToken,
      python,
    }),
    programs: new ProgramJobs({
      dir: join(state.dir, 'jobs'),
      python,
      environment: {
        ...config.environment,
        DATABASE_URL: config.databaseUrl,
        // As in Ray's jobs: the same data give the same bytes wherever a stage runs.
        OMP_NUM_THREADS: '1',
        OPENBLAS_NUM_THREADS: '1',
        MKL_NUM_THREADS: '1',
      },
    }),
    serving: createLocalServing({
      state,
      routerUrl: config.routerUrl,
      routerAdminToken: config.routerAdminToken,
      databaseUrl: config.databaseUrl,
    }),
    mlflow: createMlflow(config.mlflowUrl),
    database,
    artifactsUrl: config.artifactsUrl,
    close: () => database.end(),
  };
}
