/** The local services as programs of supervisord. PostgreSQL's is in postgres.ts. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SEARCH_ATTRIBUTES } from '../../contracts/names.ts';
import type { LocalState, Ports } from './state.ts';
import type { ServiceProgram } from './runner.ts';

/** Bytes of shared memory for Ray's objects: a table of 65,520 rows takes a tenth of it. */
const OBJECT_STORE_BYTES = 200_000_000;

/** Variables of every process that speaks with the local Ray. */
export const RAY_CONNECTIONS = {
  // Explicit, because Ray's default depends on a file in the user's home.
  RAY_AUTH_MODE: 'token',
  // Despite its name, this keeps all ports of a head with the address 127.0.0.1 on loopback.
  RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER: '0',
};

const searchPath = (state: LocalState) =>
  `${join(state.venvDir, 'bin')}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;

export function temporalProgram(state: LocalState, ports: Ports, binary: string): ServiceProgram {
  return {
    name: 'temporal',
    command: [
      binary,
      'server',
      'start-dev',
      ...['--ip', '127.0.0.1', '--port', String(ports.temporal), '--ui-port', String(ports.temporalUi)],
      ...['--db-filename', join(state.dir, 'temporal.db')],
      ...['--log-level', 'error'],
      ...Object.values(SEARCH_ATTRIBUTES).flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
    ],
    directory: state.dir,
    // Disables the user's own settings file and the update check.
    environment: {
      TEMPORAL_CONFIG_FILE: join(state.dir, 'temporal.toml'),
      DO_NOT_TRACK: '1',
      GOMEMLIMIT: '384MiB',
    },
    priority: 110,
  };
}

export function rayProgram(
  state: LocalState,
  ports: Ports,
  token: string,
  jobEnvironment: Record<string, string>,
): ServiceProgram {
  const folder = join(state.runDir, 'ray');
  const bin = join(state.venvDir, 'bin');
  return {
    name: 'ray',
    command: [
      join(bin, 'python'),
      fileURLToPath(new URL('ray_head.py', import.meta.url)),
      folder,
      join(bin, 'ray'),
      'start',
      '--head',
      '--block',
      ...['--node-ip-address', '127.0.0.1', '--port', String(ports.ray)],
      ...['--dashboard-host', '127.0.0.1', '--dashboard-port', String(ports.rayDashboard)],
      ...['--ray-client-server-port', String(ports.rayClient)],
      ...['--dashboard-agent-listen-port', String(ports.rayAgent)],
      ...['--temp-dir', folder],
      // A job's driver takes one CPU while it waits: a driver, a training of two and a feature task must fit on two cores.
      ...['--num-cpus', String(Math.max(availableParallelism(), 4))],
      ...['--object-store-memory', String(OBJECT_STORE_BYTES)],
      ...['--include-log-monitor', 'false', '--disable-usage-stats', '--log-color', 'false'],
    ],
    directory: state.dir,
    environment: {
      ...jobEnvironment,
      PATH: searchPath(state),
      ...RAY_CONNECTIONS,
      RAY_AUTH_TOKEN: token,
      // Prestarted idle workers take 100 MB each, and CPU time while everything starts.
      RAY_num_prestart_python_workers: '0',
      RAY_prestart_worker_first_driver: '0',
      RAY_enable_metrics_collection: '0',
      RAY_USAGE_STATS_ENABLED: '0',
      // 0 lets Ray choose free Prometheus ports, so that a second head can start.
      DASHBOARD_METRIC_PORT: '0',
      AUTOSCALER_METRIC_PORT: '0',
      // There are as many processes as cores; more threads would only wait for each other.
      OMP_NUM_THREADS: '1',
      OPENBLAS_NUM_THREADS: '1',
      MKL_NUM_THREADS: '1',
    },
    // Ray ends its processes itself. If they get the signal as well, Ray waits for them until its time limit.
    stopGroup: false,
    stopSeconds: 15,
    priority: 200,
  };
}

export function mlflowProgram(state: LocalState, ports: Ports, databaseUrl: string): ServiceProgram {
  const hosts = ['localhost', '127.0.0.1'];
  const store = databaseUrl.replace(/^postgres(ql)?:/, 'postgresql+psycopg:');
  return {
    name: 'mlflow',
    // The server that `mlflow server` starts, with the same settings. `mlflow server` would stay as a second process, take another
    // 200 MB and double the time to start. `infra/mlflow/` is tested against this server.
    command: [
      join(state.venvDir, 'bin', 'python'),
      ...['-m', 'uvicorn', '--host', '127.0.0.1', '--port', String(ports.mlflow), '--log-level', 'warning'],
      'mlflow.server.fastapi_app:app',
    ],
    directory: state.dir,
    environment: {
      _MLFLOW_SERVER_FILE_STORE: store,
      _MLFLOW_SERVER_REGISTRY_STORE: store,
      _MLFLOW_SERVER_ARTIFACT_ROOT: 'mlflow-artifacts:/',
      _MLFLOW_SERVER_ARTIFACT_DESTINATION: join(state.dir, 'mlflow'),
      _MLFLOW_SERVER_SERVE_ARTIFACTS: 'true',
      _MLFLOW_SGI_NAME: 'uvicorn',
      MLFLOW_TRACKING_URI: store,
      MLFLOW_REGISTRY_URI: store,
      MLFLOW_SERVER_ALLOWED_HOSTS: hosts.flatMap((host) => [host, `${host}:${ports.mlflow}`]).join(','),
      MLFLOW_SERVER_CORS_ALLOWED_ORIGINS: hosts.map((host) => `http://${host}:${ports.mlflow}`).join(','),
      MLFLOW_SERVER_ENABLE_JOB_EXECUTION: 'false',
      MLFLOW_DISABLE_TELEMETRY: 'true',
      MLFLOW_SQLALCHEMYSTORE_POOL_SIZE: '4',
      OMP_NUM_THREADS: '1',
      OPENBLAS_NUM_THREADS: '1',
      PATH: searchPath(state),
    },
    priority: 210,
  };
}

export function nodeProgram(
  state: LocalState,
  name: 'worker' | 'router',
  script: string,
  environment: Record<string, string>,
): ServiceProgram {
  return {
    name,
    command: [process.execPath, join(state.projectDir, 'scripts/run.mjs'), script],
    directory: state.projectDir,
    environment,
    stopSeconds: 20,
    priority: name === 'worker' ? 900 : 300,
  };
}
