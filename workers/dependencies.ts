/** The real dependencies of the activities, built from the configuration. */
import { join } from 'node:path';
import { Pool } from 'pg';
import type { Dependencies } from '../activities/dependencies.ts';
import { nodeAddress, sessionOptions } from '../contracts/database-address.ts';
import { ProgramJobs } from '../infra/local/program-jobs.ts';
import { RayJobs } from '../infra/local/ray-jobs.ts';
import { createLocalServing } from '../infra/local/serving.ts';
import { localState } from '../infra/local/state.ts';
import { MlflowClient } from '../infra/mlflow/client.ts';
import type { LocalPlatformConfig, WorkerConfig } from '../config/environment.ts';
import type { Platform } from './kubernetes-platform.ts';

const CONNECT_TIMEOUT_MS = 10_000;

export async function createDependencies(
  config: WorkerConfig,
): Promise<Dependencies & { close: () => Promise<void> }> {
  const { platform } = config;
  const database = new Pool({
    connectionString: nodeAddress(config.databaseUrl),
    max: 5,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    options: sessionOptions({ timezone: 'UTC' }),
  });
  // The pool replaces a broken idle connection. Without a listener its error would end the process.
  database.on('error', () => undefined);
  return {
    ...(platform.kind === 'local'
      ? localPlatform(platform, config.databaseUrl)
      : await kubernetesPlatform(platform.configFile)),
    mlflow: new MlflowClient(config.mlflow),
    database,
    artifactsUrl: config.artifactsUrl,
    close: () => database.end(),
  };
}

/** Loaded only where it is used: the Kubernetes client alone takes a second of processor time. */
async function kubernetesPlatform(configFile: string): Promise<Platform> {
  return (await import('./kubernetes-platform.ts')).createKubernetesPlatform(configFile);
}

function localPlatform(config: LocalPlatformConfig, databaseUrl: string): Platform {
  const state = localState(config.projectDir, config.stateDir);
  const python = join(state.venvDir, 'bin', 'python');
  const ray = new RayJobs({ address: config.rayUrl, token: config.rayToken, python });
  const programs = new ProgramJobs({
    dir: join(state.dir, 'jobs'),
    python,
    environment: {
      ...config.environment,
      DATABASE_URL: databaseUrl,
      // The same as in Ray's jobs, so that the same data give the same bytes on every platform.
      OMP_NUM_THREADS: '1',
      OPENBLAS_NUM_THREADS: '1',
      MKL_NUM_THREADS: '1',
    },
  });
  return {
    platforms: { features: ray, train: ray, programs },
    serving: createLocalServing({
      state,
      routerUrl: config.routerUrl,
      routerAdminToken: config.routerAdminToken,
      databaseUrl,
    }),
  };
}
