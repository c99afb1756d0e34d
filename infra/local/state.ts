/** The state folder: secrets, ports, logs and data of one local platform. Deleting it resets the platform. */
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { writeJsonAtomically } from '../atomic-file.ts';
import { freePort, isPortFree } from './ports.ts';

const secretsSchema = z.object({
  postgresPassword: z.string(),
  rayToken: z.string(),
  routerAdminToken: z.string(),
});
export type Secrets = z.infer<typeof secretsSchema>;

const PORT_NAMES = [
  'postgres',
  'temporal',
  'temporalUi',
  'ray',
  'rayDashboard',
  'rayClient',
  'rayAgent',
  'mlflow',
  'router',
] as const;
type PortName = (typeof PORT_NAMES)[number];
export type Ports = Record<PortName, number>;
const portsSchema = z.record(z.enum(PORT_NAMES), z.int());
const chosenPortsSchema = z.partialRecord(z.enum(PORT_NAMES), z.int());

/** The folders and files of one local platform. */
export interface LocalState {
  projectDir: string;
  dir: string;
  logsDir: string;
  /** One file for each of supervisord's programs. */
  programsDir: string;
  artifactsDir: string;
  /** Private folder with a short path without spaces, because a unix socket's path is limited to 107 bytes. Nothing in it must survive. */
  runDir: string;
  socketPath: string;
  venvDir: string;
}

export function localState(projectDir: string, stateDir: string): LocalState {
  const dir = resolve(stateDir);
  const hash = createHash('sha256').update(dir).digest('hex').slice(0, 12);
  // A long TMPDIR is not used, because the paths of Ray's sockets add some 60 bytes.
  const base = tmpdir().length <= 8 ? tmpdir() : '/tmp';
  const runDir = join(base, `shelfcast-${hash}`);
  return {
    projectDir: resolve(projectDir),
    dir,
    logsDir: join(dir, 'logs'),
    programsDir: join(dir, 'conf.d'),
    artifactsDir: join(dir, 'artifacts'),
    runDir,
    socketPath: join(runDir, 'supervisor.sock'),
    venvDir: join(resolve(projectDir), 'ml', '.venv'),
  };
}

/** Creates the folders and, once, the secrets. */
export function prepareState(state: LocalState): void {
  for (const dir of [state.dir, state.logsDir, state.programsDir, state.artifactsDir]) {
    mkdirSync(dir, { recursive: true });
  }
  preparePrivateFolder(state.runDir);
  const path = join(state.dir, 'secrets.json');
  if (existsSync(path)) return;
  const secrets: Secrets = {
    postgresPassword: randomBytes(24).toString('hex'),
    rayToken: randomBytes(24).toString('hex'),
    routerAdminToken: randomBytes(24).toString('hex'),
  };
  writeJsonAtomically(path, secrets, 0o600);
}

function preparePrivateFolder(dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const { uid } = statSync(dir);
  if (uid !== userInfo().uid) {
    throw new Error(`${dir} belongs to user ${uid}, not to you; remove it or choose another state folder`);
  }
  chmodSync(dir, 0o700);
}

/** @throws Error when `prepareState` never ran */
export function readSecrets(state: LocalState): Secrets {
  return secretsSchema.parse(readStateFile(state, 'secrets.json'));
}

/** @throws Error when `choosePorts` never ran */
export function readPorts(state: LocalState): Ports {
  return portsSchema.parse(readStateFile(state, 'ports.json'));
}

function readStateFile(state: LocalState, name: string): unknown {
  const path = join(state.dir, name);
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new Error(`cannot read ${path}: run \`npm start\` with this state folder first`, { cause });
  }
}

/**
 * Chooses the ports that are not chosen yet, and with `servicesAreDown` replaces ports that another program has taken. While the
 * services run, they occupy the ports themselves.
 */
export async function choosePorts(state: LocalState, servicesAreDown: boolean): Promise<Ports> {
  const path = join(state.dir, 'ports.json');
  const known = existsSync(path) ? chosenPortsSchema.parse(readStateFile(state, 'ports.json')) : {};
  const taken = new Set<number>();
  const ports: Partial<Ports> = {};
  for (const name of PORT_NAMES) {
    const port = known[name];
    const stays = port !== undefined && (!servicesAreDown || (await isPortFree(port)));
    const chosen = stays ? port : await freePort(taken);
    taken.add(chosen);
    ports[name] = chosen;
  }
  const complete = portsSchema.parse(ports);
  if (JSON.stringify(complete) !== JSON.stringify(known)) writeJsonAtomically(path, complete);
  return complete;
}
