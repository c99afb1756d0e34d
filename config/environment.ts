/** Environment variables of the command line, the client and the worker. The predictor and the router read theirs in predictor/. */
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { addressIssue } from '../contracts/database-address.ts';
import { TASK_QUEUE } from '../contracts/names.ts';
import { sentencesOf } from '../contracts/zod-issues.ts';
import type { LocalConfig } from '../infra/local/services.ts';
import { readEndpoints } from '../infra/local/services.ts';
import type { ConnectionSecurity } from './temporal-connection.ts';
import { connectionSecurity, temporalSchema } from './temporal-connection.ts';

type Environment = Record<string, string | undefined>;

/** Root of the project (the folder with package.json). */
export const PROJECT_DIR = resolve(import.meta.dirname, '..');

const optional = z.string().min(1).optional();
const databaseUrl = z.string().superRefine((address, context) => {
  const message = addressIssue(address);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
});
const commonSchema = z.object({
  SHELFCAST_HOME: z
    .string()
    .default(join(PROJECT_DIR, '.shelfcast'))
    .describe('State folder of the local services.'),
  SHELFCAST_PROJECT: z.string().default(PROJECT_DIR).describe('Root folder of the project.'),
  ...temporalSchema.shape,
  TEMPORAL_ADDRESS: optional.describe('`host:port` of the Temporal frontend.'),
  DATABASE_URL: databaseUrl
    .optional()
    .describe('Address of PostgreSQL, `postgresql://user:password@host:port/database`.'),
  MLFLOW_TRACKING_URI: optional.describe('URL of the MLflow server, with or without user and password.'),
  MLFLOW_TRACKING_USERNAME: optional.describe('User at the MLflow server, instead of that in the URL.'),
  MLFLOW_TRACKING_PASSWORD: optional.describe('Password of this user.'),
  MLFLOW_TRACKING_TOKEN: optional.describe(
    'Token at the MLflow server; counts only without user and password, as in MLflow.',
  ),
  RAY_ADDRESS: optional.describe("URL of Ray's dashboard."),
  RAY_AUTH_TOKEN: z.string().optional().describe('Token of the Ray cluster.'),
  XDG_CACHE_HOME: optional.describe('Folder of caches; `~/.cache` by default.'),
});

const mlflowUrl = z.url({ protocol: /^https?$/ });

const workerVariables = z.object({
  SHELFCAST_ARTIFACTS: z
    .string()
    .startsWith('file://')
    .optional()
    .describe(
      "`file://` URL of the folder for the runs' artifacts; by default a folder of the state folder.",
    ),
  SHELFCAST_KUBERNETES: optional.describe(
    'File that describes the cluster; without it, jobs and predictors run on this machine.',
  ),
  SHELFCAST_WORKFLOW_BUNDLE: optional.describe(
    'File that `bundle-main.ts` wrote; without it, the worker bundles the workflows itself.',
  ),
  SHELFCAST_HEALTH_PORT: z.coerce
    .number()
    .int()
    .min(1)
    .max(65_535)
    .optional()
    .describe('Port of the health server; without it, none is started.'),
});

const workerSchema = commonSchema.extend({
  TEMPORAL_ADDRESS: z.string().min(1),
  DATABASE_URL: databaseUrl,
  MLFLOW_TRACKING_URI: mlflowUrl,
  ...workerVariables.shape,
});

const localWorkerSchema = z.object({
  RAY_ADDRESS: z.url({ protocol: /^https?$/ }).describe("URL of Ray's dashboard."),
  ROUTER_URL: z.url().describe('URL of the router before the predictors.'),
  ROUTER_ADMIN_TOKEN: z.string().min(1).describe("Secret for changes of the router's weights."),
});

/** Variables as docs/configuration.md lists them. */
export const environmentSections = [
  {
    title: 'Every program',
    intro: 'The command line, the client for programs and the worker read these.',
    schema: commonSchema,
  },
  {
    title: 'Worker',
    intro:
      'A worker needs `TEMPORAL_ADDRESS`, `DATABASE_URL` and `MLFLOW_TRACKING_URI`, and reads these as well.',
    schema: workerVariables,
  },
  {
    title: 'Worker on one machine',
    intro: 'A worker without `SHELFCAST_KUBERNETES` needs these; `npm start` sets them.',
    schema: localWorkerSchema,
  },
];

export interface WorkerConfig {
  temporal: TemporalConfig;
  databaseUrl: string;
  mlflow: MlflowServer;
  artifactsUrl: string;
  platform: LocalPlatformConfig | { kind: 'kubernetes'; configFile: string };
  /** File with the bundled workflows; undefined where the worker bundles them itself. */
  workflowBundle: string | undefined;
  /** Port of the health server; undefined where none is started. */
  healthPort: number | undefined;
}

/** Jobs and predictors on this machine. */
export interface LocalPlatformConfig {
  kind: 'local';
  rayUrl: string;
  /** Token of the Ray cluster; undefined where it needs none. */
  rayToken: string | undefined;
  routerUrl: string;
  routerAdminToken: string;
  projectDir: string;
  stateDir: string;
  /** Environment of the worker, inherited by the programs that it starts. */
  environment: Environment;
}

export interface TemporalConfig extends ConnectionSecurity {
  /** host:port of the frontend. */
  address: string;
  namespace: string;
  taskQueue: string;
}

function parse<T>(schema: z.ZodType<T>, env: Environment): T {
  const parsed = schema.safeParse(env);
  if (parsed.success) return parsed.data;
  throw new Error(`invalid environment: ${sentencesOf(parsed.error).join('; ')}`);
}

export function readWorkerConfig(env: Environment = process.env): WorkerConfig {
  const values = parse(workerSchema, env);
  const { SHELFCAST_KUBERNETES: configFile } = values;
  return {
    temporal: temporalConfigOf(values, values.TEMPORAL_ADDRESS),
    databaseUrl: values.DATABASE_URL,
    mlflow: mlflowServer(values.MLFLOW_TRACKING_URI, values),
    artifactsUrl: values.SHELFCAST_ARTIFACTS ?? pathToFileURL(join(values.SHELFCAST_HOME, 'artifacts')).href,
    platform: configFile === undefined ? readLocalPlatform(env) : { kind: 'kubernetes', configFile },
    workflowBundle: values.SHELFCAST_WORKFLOW_BUNDLE,
    healthPort: values.SHELFCAST_HEALTH_PORT,
  };
}

function readLocalPlatform(env: Environment): LocalPlatformConfig {
  const values = parse(commonSchema.extend(localWorkerSchema.shape), env);
  return {
    kind: 'local',
    rayUrl: values.RAY_ADDRESS,
    rayToken: values.RAY_AUTH_TOKEN === '' ? undefined : values.RAY_AUTH_TOKEN,
    routerUrl: values.ROUTER_URL,
    routerAdminToken: values.ROUTER_ADMIN_TOKEN,
    projectDir: values.SHELFCAST_PROJECT,
    stateDir: values.SHELFCAST_HOME,
    environment: env,
  };
}

/** Address and login of an MLflow server. */
export interface MlflowServer {
  /** URL with user and password, if the server wants them. */
  url: string;
  token: string | undefined;
}

/**
 * Returns the server at the URL with the login of the environment.
 * @throws Error when only one of user and password is set
 */
function mlflowServer(
  url: string,
  {
    MLFLOW_TRACKING_USERNAME: username,
    MLFLOW_TRACKING_PASSWORD: password,
    MLFLOW_TRACKING_TOKEN: token,
  }: z.output<typeof commonSchema>,
): MlflowServer {
  if ((username === undefined) !== (password === undefined)) {
    throw new Error(
      'invalid environment: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD must be set together',
    );
  }
  const parsed = new URL(url);
  if (username !== undefined && password !== undefined) {
    // The setters leave a `%` as it is.
    parsed.username = encodeURIComponent(username);
    parsed.password = encodeURIComponent(password);
  }
  const hasLogin = parsed.username !== '';
  return { url: hasLogin ? parsed.href : url, token: hasLogin ? undefined : token };
}

/** Returns the server of MLFLOW_TRACKING_URI, else of the local services, with the login of the environment. */
export function readMlflowServer(localUrl: string, env: Environment = process.env): MlflowServer {
  const values = parse(commonSchema, env);
  return mlflowServer(values.MLFLOW_TRACKING_URI ?? localUrl, values);
}

export const readDatabaseUrl = (env: Environment = process.env): string =>
  parse(z.object({ DATABASE_URL: databaseUrl }), env).DATABASE_URL;

export function readLocalConfig(env: Environment = process.env): LocalConfig {
  const values = parse(commonSchema.extend({ MLFLOW_TRACKING_URI: mlflowUrl.optional() }), env);
  const { MLFLOW_TRACKING_URI: url } = values;
  const mlflow = url === undefined ? undefined : mlflowServer(url, values);
  return {
    projectDir: values.SHELFCAST_PROJECT,
    stateDir: values.SHELFCAST_HOME,
    addresses: {
      temporal: values.TEMPORAL_ADDRESS,
      database: values.DATABASE_URL,
      mlflow: mlflow?.url,
      ray: values.RAY_ADDRESS,
    },
    mlflowToken: mlflow?.token,
    rayToken: values.RAY_AUTH_TOKEN,
    cacheDir: values.XDG_CACHE_HOME,
  };
}

/** Resolves a path against the user's folder. npm starts scripts in the project's folder and gives the user's in INIT_CWD. */
export const userPath = (path: string, env: Environment = process.env): string =>
  resolve(env['INIT_CWD'] ?? process.cwd(), path);

/** Returns the cluster's configuration file: the path that the user wrote, else SHELFCAST_KUBERNETES. */
export function clusterFile(path: string | undefined, env: Environment = process.env): string {
  const { SHELFCAST_KUBERNETES: fallback } = parse(z.object({ SHELFCAST_KUBERNETES: optional }), env);
  const file = path === undefined ? fallback : userPath(path, env);
  if (file !== undefined) return file;
  throw new Error(
    'no cluster is configured: give its configuration file with --config or in SHELFCAST_KUBERNETES',
  );
}

/** Returns the connection of a client: to TEMPORAL_ADDRESS, else to the local services. */
export function readTemporalConfig(env: Environment = process.env): TemporalConfig {
  const values = parse(commonSchema, env);
  const address = values.TEMPORAL_ADDRESS ?? readEndpoints(values.SHELFCAST_HOME)?.temporal;
  if (address === undefined) {
    throw new Error(
      `no services were started here (no endpoints.json in ${values.SHELFCAST_HOME}): run \`npm start\`, or set TEMPORAL_ADDRESS`,
    );
  }
  return temporalConfigOf(values, address);
}

const temporalConfigOf = (values: z.output<typeof temporalSchema>, address: string): TemporalConfig => ({
  address,
  ...connectionSecurity(values),
  namespace: values.TEMPORAL_NAMESPACE,
  taskQueue: TASK_QUEUE,
});
