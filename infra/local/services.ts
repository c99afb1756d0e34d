/** Start, discovery and end of all services of the local platform. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Endpoints } from '../../contracts/endpoints.ts';
import { writeJsonAtomically } from '../atomic-file.ts';
import { ensureDatabases, migrate } from '../database.ts';
import { withoutLogin } from '../http.ts';
import { withLock } from './lock.ts';
import { localDatabaseUrl, postgresProgram, preparePostgres } from './postgres.ts';
import { mlflowProgram, nodeProgram, rayProgram, temporalProgram } from './programs.ts';
import { answersHttp, answersSql, answersTcp, checkReachable, hasRayNode, isRunning } from './readiness.ts';
import type { LocalState, Ports, Secrets } from './state.ts';
import { choosePorts, localState, prepareState, readPorts, readSecrets } from './state.ts';
import type { Service, ServiceProgram } from './runner.ts';
import { ProgramRunner, SERVICES } from './runner.ts';
import * as supervisor from './supervisor.ts';
import { ensurePython, ensureTemporal } from './toolchain.ts';

export interface LocalConfig {
  /** Root of the project (the folder with package.json). */
  projectDir: string;
  /** State folder, with everything that must survive. */
  stateDir: string;
  /** Addresses of services that run elsewhere; an absent one is started here. */
  addresses: {
    /** host:port of the frontend. */
    temporal?: string | undefined;
    /** postgresql://user:password@host:port/database */
    database?: string | undefined;
    /** http://host:port, with user and password if it needs them */
    mlflow?: string | undefined;
    /** http://host:port of Ray's dashboard (Jobs API). */
    ray?: string | undefined;
  };
  /** Token of an MLflow that runs elsewhere, if that MLflow needs one. */
  mlflowToken?: string | undefined;
  /** Token of a Ray that runs elsewhere, if that Ray needs one. */
  rayToken?: string | undefined;
  /** Folder of the user's caches (XDG_CACHE_HOME); `~/.cache` when absent. */
  cacheDir?: string | undefined;
}

const MLFLOW_ANSWER_TIMEOUT_MS = 60_000;

interface Context {
  config: LocalConfig;
  state: LocalState;
  secrets: Secrets;
  ports: Ports;
  onProgress: (line: string) => void;
}

/** Starts the services that do not run, and waits until all of them answer. Starts nothing twice. */
export async function startServices(
  config: LocalConfig,
  onProgress: (line: string) => void,
): Promise<Endpoints> {
  const state = localState(config.projectDir, config.stateDir);
  prepareState(state);
  return withLock(
    join(state.dir, 'up.lock'),
    () => startUnlocked(config, state, onProgress),
    () => {
      onProgress('waiting for another start or stop with the same state folder');
    },
  );
}

/** Ends everything that `startServices` started, and waits until no process is left. No data is lost. */
export async function stopServices(config: LocalConfig): Promise<void> {
  const state = localState(config.projectDir, config.stateDir);
  if (!existsSync(state.dir)) return;
  await withLock(join(state.dir, 'up.lock'), () => supervisor.stopSupervisor(state));
}

/** Reads the addresses that `startServices` wrote last; null when it never ran. */
export function readEndpoints(stateDir: string): Endpoints | null {
  const path = join(stateDir, 'endpoints.json');
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Endpoints) : null;
}

/**
 * Returns the environment of the worker and the router: TEMPORAL_ADDRESS, DATABASE_URL, MLFLOW_TRACKING_URI,
 * MLFLOW_TRACKING_TOKEN if there is one, RAY_ADDRESS (http URL of the dashboard), RAY_AUTH_TOKEN, SHELFCAST_HOME,
 * SHELFCAST_PROJECT, SHELFCAST_ARTIFACTS, ROUTER_URL, ROUTER_ADMIN_TOKEN, ROUTER_PORT, ROUTER_STATE (a file).
 * @throws Error when `startServices` never ran
 */
export function localEnvironment(config: LocalConfig): Record<string, string> {
  const state = localState(config.projectDir, config.stateDir);
  return environmentOf(config, state, readSecrets(state), readPorts(state));
}

/** Returns the given address of each service, else the local one. */
const addressesOf = (
  { addresses }: LocalConfig,
  secrets: Secrets,
  ports: Ports,
): Record<keyof LocalConfig['addresses'], string> => ({
  temporal: addresses.temporal ?? `127.0.0.1:${ports.temporal}`,
  database: addresses.database ?? localDatabaseUrl(secrets, ports.postgres, 'shelfcast'),
  mlflow: addresses.mlflow ?? `http://127.0.0.1:${ports.mlflow}`,
  ray: addresses.ray ?? `http://127.0.0.1:${ports.rayDashboard}`,
});

function environmentOf(
  config: LocalConfig,
  state: LocalState,
  secrets: Secrets,
  ports: Ports,
): Record<string, string> & { DATABASE_URL: string } {
  const { temporal, database, mlflow, ray } = addressesOf(config, secrets, ports);
  const rayToken = config.addresses.ray === undefined ? secrets.rayToken : config.rayToken;
  return {
    TEMPORAL_ADDRESS: temporal,
    DATABASE_URL: database,
    MLFLOW_TRACKING_URI: mlflow,
    ...(config.mlflowToken === undefined ? {} : { MLFLOW_TRACKING_TOKEN: config.mlflowToken }),
    RAY_ADDRESS: ray,
    RAY_AUTH_TOKEN: rayToken ?? '',
    SHELFCAST_HOME: state.dir,
    SHELFCAST_PROJECT: state.projectDir,
    SHELFCAST_ARTIFACTS: pathToFileURL(state.artifactsDir).href,
    ROUTER_URL: `http://127.0.0.1:${ports.router}`,
    ROUTER_ADMIN_TOKEN: secrets.routerAdminToken,
    ROUTER_PORT: String(ports.router),
    ROUTER_STATE: join(state.dir, 'router.json'),
  };
}

async function startUnlocked(
  config: LocalConfig,
  state: LocalState,
  onProgress: (line: string) => void,
): Promise<Endpoints> {
  const wasRunning = await supervisor.isSupervisorRunning(state);
  const temporalBinary = config.addresses.temporal === undefined ? ensureTemporal(config, onProgress) : null;
  // Awaited further down; until then a rejection must not end the process.
  temporalBinary?.catch(() => undefined);
  await ensurePython(config, onProgress);
  if (!wasRunning) await supervisor.endLeftovers(state);
  const ports = await choosePorts(state, !wasRunning);
  const context: Context = { config, state, secrets: readSecrets(state), ports, onProgress };
  await startAll(context, temporalBinary);
  return writeEndpoints(context);
}

/** Updates endpoints.json from the processes that run now. Returns null when `startServices` never ran. */
export async function refreshEndpoints(config: LocalConfig): Promise<Endpoints | null> {
  const state = localState(config.projectDir, config.stateDir);
  if (readEndpoints(state.dir) === null) return null;
  const secrets = readSecrets(state);
  return writeEndpoints({ config, state, secrets, ports: readPorts(state), onProgress: () => undefined });
}

async function writeEndpoints(context: Context): Promise<Endpoints> {
  const endpoints = await collectEndpoints(context);
  writeJsonAtomically(join(context.state.dir, 'endpoints.json'), endpoints);
  return endpoints;
}

/** Starts each service as soon as those that it needs are ready. */
async function startAll(context: Context, temporalBinary: Promise<string> | null): Promise<void> {
  const { config, state, ports } = context;
  const environment = environmentOf(config, state, context.secrets, ports);
  const programs = {
    ray: rayProgram(state, ports, context.secrets.rayToken, { DATABASE_URL: environment.DATABASE_URL }),
    router: nodeProgram(state, 'router', 'predictor/router-main.ts', environment),
    mlflow: mlflowProgram(state, ports, mlflowDatabaseUrl(context)),
  };
  const wanted = wantedServices(config);
  const first = Object.values(programs).filter(({ name }) => wanted.has(name));
  const runner = await ProgramRunner.open(state, wanted, first, context.onProgress);
  const starting = SERVICES.filter((name) => wanted.has(name) && runner.isStarting(name));
  if (starting.length > 0) context.onProgress(`starting ${starting.join(', ')}`);
  const ray = startRay(context, runner, programs.ray);
  const router = runner.start(programs.router, answersTcp('127.0.0.1', ports.router));
  const database = startDatabase(context, runner, environment.DATABASE_URL);
  const mlflow = database.then(() => startMlflow(context, runner, programs.mlflow));
  const temporal = startTemporal(context, runner, temporalBinary);
  const worker = Promise.all([temporal, database]).then(() => {
    const program = nodeProgram(state, 'worker', 'workers/main.ts', environment);
    return runner.start(program, isRunning(state, program.name));
  });
  const results = await Promise.allSettled([database, temporal, ray, mlflow, router, worker]);
  const reasons = new Set(
    results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : [])),
  );
  if (reasons.size > 0) {
    const errors = [...reasons];
    throw new AggregateError(errors, errors.map(({ message }) => message).join('\n\n'));
  }
}

async function startDatabase(context: Context, runner: ProgramRunner, databaseUrl: string): Promise<void> {
  const { config, state, secrets, ports, onProgress } = context;
  if (config.addresses.database !== undefined) {
    await checkReachable(
      'PostgreSQL',
      { address: hostOf(config.addresses.database), variable: 'DATABASE_URL' },
      answersSql(config.addresses.database),
    );
  } else {
    const admin = localDatabaseUrl(secrets, ports.postgres, 'postgres');
    const place = await preparePostgres(state, secrets, runner.isAlive('postgres'), onProgress);
    await runner.start(postgresProgram(place, ports.postgres), answersSql(admin));
    await ensureDatabases(admin, ['shelfcast', 'mlflow']);
  }
  await migrate(databaseUrl);
}

async function startRay(
  { config, secrets, ports }: Context,
  runner: ProgramRunner,
  program: ServiceProgram,
): Promise<void> {
  const { ray } = config.addresses;
  if (ray !== undefined) {
    const given = { address: ray, variable: 'RAY_ADDRESS' };
    await checkReachable('Ray', given, hasRayNode(ray, config.rayToken));
  } else {
    const probe = hasRayNode(`http://127.0.0.1:${ports.rayDashboard}`, secrets.rayToken);
    await runner.start(program, probe);
  }
}

async function startMlflow(
  { config, ports }: Context,
  runner: ProgramRunner,
  program: ServiceProgram,
): Promise<void> {
  const { mlflow } = config.addresses;
  // The request reaches the database too, so the first answer comes after MLflow has created its tables.
  const probe = (address: string) =>
    answersHttp('MLflow', address, '/api/2.0/mlflow/experiments/search?max_results=1', {
      token: config.mlflowToken,
      timeoutMs: MLFLOW_ANSWER_TIMEOUT_MS,
    });
  if (mlflow !== undefined) {
    await checkReachable('MLflow', { address: mlflow, variable: 'MLFLOW_TRACKING_URI' }, probe(mlflow));
  } else await runner.start(program, probe(`http://127.0.0.1:${ports.mlflow}`));
}

function mlflowDatabaseUrl({ config, secrets, ports }: Context): string {
  return config.addresses.database ?? localDatabaseUrl(secrets, ports.postgres, 'mlflow');
}

async function startTemporal(
  { config, state, ports }: Context,
  runner: ProgramRunner,
  binary: Promise<string> | null,
): Promise<void> {
  if (binary === null) {
    const address = config.addresses.temporal ?? '';
    const { hostname, port } = new URL(`tcp://${address}`);
    const given = { address, variable: 'TEMPORAL_ADDRESS' };
    await checkReachable('Temporal', given, answersTcp(hostname, Number(port || '7233')));
    return;
  }
  // The request passes through the UI's server to the frontend: an answer shows that both work and the namespace exists.
  const probe = answersHttp('Temporal', `http://127.0.0.1:${ports.temporalUi}`, '/api/v1/namespaces/default');
  await runner.start(temporalProgram(state, ports, await binary), probe);
}

async function collectEndpoints({ config, state, secrets, ports }: Context): Promise<Endpoints> {
  const { temporal, database, mlflow, ray } = addressesOf(config, secrets, ports);
  const states = await supervisor.programStates(state);
  const pids = [...states].flatMap(([name, { pid }]) => (pid === null ? [] : [[name, pid] as const]));
  return {
    temporal,
    // The address of another machine's UI is unknown.
    temporalUi: config.addresses.temporal === undefined ? `http://127.0.0.1:${ports.temporalUi}` : '',
    mlflow: withoutLogin(mlflow),
    ray,
    predictor: `http://127.0.0.1:${ports.router}`,
    postgres: withoutPassword(database),
    pids: Object.fromEntries(pids),
  };
}

function wantedServices({ addresses }: LocalConfig): ReadonlySet<Service> {
  const given: Partial<Record<Service, string | undefined>> = {
    postgres: addresses.database,
    temporal: addresses.temporal,
    mlflow: addresses.mlflow,
    ray: addresses.ray,
  };
  return new Set(SERVICES.filter((name) => given[name] === undefined));
}

function withoutPassword(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.password = '';
  return url.href;
}

const hostOf = (databaseUrl: string): string => new URL(databaseUrl).host;
