/** The environment, read here and nowhere else: defaults first, the environment over them. */
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { TASK_QUEUE } from '../contracts/names.ts';
import type { LocalConfig } from '../infra/local/services.ts';
import { readEndpoints } from '../infra/local/services.ts';

type Environment = Record<string, string | undefined>;

const PROJECT_DIR = resolve(import.meta.dirname, '..');

const optional = z.string().min(1).optional();
const commonSchema = z.object({
  /** State folder of the local services. */
  SHELFCAST_HOME: z.string().default(join(PROJECT_DIR, '.shelfcast')),
  SHELFCAST_PROJECT: z.string().default(PROJECT_DIR),
  TEMPORAL_ADDRESS: optional,
  TEMPORAL_NAMESPACE: z.string().default('default'),
  DATABASE_URL: optional,
  MLFLOW_TRACKING_URI: optional,
  RAY_ADDRESS: optional,
  RAY_AUTH_TOKEN: z.string().optional(),
  XDG_CACHE_HOME: optional,
});

const workerSchema = commonSchema.extend({
  TEMPORAL_ADDRESS: z.string().min(1),
  DATABASE_URL: z.string().startsWith('postgres', 'must be a postgresql:// URL'),
  MLFLOW_TRACKING_URI: z.url(),
  RAY_ADDRESS: z.url({ protocol: /^https?$/ }),
  ROUTER_URL: z.url(),
  ROUTER_ADMIN_TOKEN: z.string().min(1),
  /** `file://` URL of the folder for the runs' artifacts. */
  SHELFCAST_ARTIFACTS: z.string().startsWith('file://').optional(),
});

export interface WorkerConfig {
  temporal: TemporalConfig;
  databaseUrl: string;
  mlflowUrl: string;
  rayUrl: string;
  /** Undefined where Ray asks for none. */
  rayToken: string | undefined;
  routerUrl: string;
  routerAdminToken: string;
  artifactsUrl: string;
  projectDir: string;
  stateDir: string;
  /** All of it, for the programs that the worker starts. */
  environment: Environment;
}

export interface TemporalConfig {
  /** host:port of the frontend. */
  address: string;
  namespace: string;
  taskQueue: string;
}

function parse<T>(schema: z.ZodType<T>, env: Environment): T {
  const parsed = schema.safeParse(env);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new Error(`wrong environment: ${issues.join('; ')}`);
}

export function readWorkerConfig(env: Environment = process.env): WorkerConfig {
  const values = parse(workerSchema, env);
  return {
    temporal: {
      address: values.TEMPORAL_ADDRESS,
      namespace: values.TEMPORAL_NAMESPACE,
      taskQueue: TASK_QUEUE,
    },
    databaseUrl: values.DATABASE_URL,
    mlflowUrl: values.MLFLOW_TRACKING_URI,
    rayUrl: values.RAY_ADDRESS,
    rayToken: values.RAY_AUTH_TOKEN === '' ? undefined : values.RAY_AUTH_TOKEN,
    routerUrl: values.ROUTER_URL,
    routerAdminToken: values.ROUTER_ADMIN_TOKEN,
    artifactsUrl: values.SHELFCAST_ARTIFACTS ?? pathToFileURL(join(values.SHELFCAST_HOME, 'artifacts')).href,
    projectDir: values.SHELFCAST_PROJECT,
    stateDir: values.SHELFCAST_HOME,
    environment: env,
  };
}

export function readLocalConfig(env: Environment = process.env): LocalConfig {
  const values = parse(commonSchema, env);
  return {
    projectDir: values.SHELFCAST_PROJECT,
    stateDir: values.SHELFCAST_HOME,
    addresses: {
      temporal: values.TEMPORAL_ADDRESS,
      database: values.DATABASE_URL,
      mlflow: values.MLFLOW_TRACKING_URI,
      ray: values.RAY_ADDRESS,
    },
    rayToken: values.RAY_AUTH_TOKEN,
    cacheDir: values.XDG_CACHE_HOME,
  };
}

/** Absolute path of what the user wrote; npm changes the folder that scripts run in, and says where it was. */
export const userPath = (path: string, env: Environment = process.env): string =>
  resolve(env['INIT_CWD'] ?? process.cwd(), path);

/** Where a client finds Temporal: TEMPORAL_ADDRESS, else the local services'. */
export function readTemporalConfig(env: Environment = process.env): TemporalConfig {
  const values = parse(commonSchema, env);
  const address = values.TEMPORAL_ADDRESS ?? readEndpoints(values.SHELFCAST_HOME)?.temporal;
  if (address === undefined) {
    throw new Error(
      `nothing runs here (no endpoints.json in ${values.SHELFCAST_HOME}): type \`npm start\`, or set TEMPORAL_ADDRESS`,
    );
  }
  return { address, namespace: values.TEMPORAL_NAMESPACE, taskQueue: TASK_QUEUE };
}
