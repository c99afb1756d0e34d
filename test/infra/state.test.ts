import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withLock } from '../../infra/local/lock.ts';
import { localEnvironment, readEndpoints } from '../../infra/local/services.ts';
import type { LocalState } from '../../infra/local/state.ts';
import { choosePorts, localState, prepareState, readPorts, readSecrets } from '../../infra/local/state.ts';
import { PROJECT_DIR } from '../platform.ts';

let dir: string;
let state: LocalState;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shelfcast-state-'));
  state = localState(PROJECT_DIR, join(dir, 'a folder with spaces'.repeat(5)));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  rmSync(state.runDir, { recursive: true, force: true });
});

describe('state folder', () => {
  it('creates secrets once, readable by the owner only', () => {
    prepareState(state);
    const secrets = readSecrets(state);
    expect(secrets.postgresPassword).toMatch(/^[0-9a-f]{48}$/);
    expect(secrets.routerAdminToken).not.toBe(secrets.postgresPassword);
    expect(statSync(join(state.dir, 'secrets.json')).mode & 0o777).toBe(0o600);
    prepareState(state);
    expect(readSecrets(state)).toEqual(secrets);
  });

  it('keeps its socket in a private folder with a short path', () => {
    prepareState(state);
    expect(state.dir.length).toBeGreaterThan(107);
    expect(state.socketPath.length).toBeLessThan(60);
    expect(statSync(state.runDir).mode & 0o777).toBe(0o700);
  });

  it('keeps ports, and replaces only those that another program took while the services were down', async () => {
    prepareState(state);
    const ports = await choosePorts(state, true);
    expect(new Set(Object.values(ports)).size).toBe(Object.keys(ports).length);
    expect(await choosePorts(state, true)).toEqual(ports);

    const stranger = createServer();
    await new Promise<void>((resolve) => stranger.listen(ports.mlflow, '127.0.0.1', resolve));
    try {
      expect(await choosePorts(state, false)).toEqual(ports);
      const changed = await choosePorts(state, true);
      expect(changed.mlflow).not.toBe(ports.mlflow);
      expect({ ...changed, mlflow: 0 }).toEqual({ ...ports, mlflow: 0 });
      expect(readPorts(state)).toEqual(changed);
    } finally {
      stranger.close();
    }
  });

  it('reports what to do when nothing was started yet', () => {
    const config = { projectDir: PROJECT_DIR, stateDir: state.dir, addresses: {} };
    expect(readEndpoints(state.dir)).toBeNull();
    expect(() => localEnvironment(config)).toThrow(/secrets\.json.*npm start/);
  });

  it('gives the processes the addresses of services that run elsewhere', async () => {
    prepareState(state);
    await choosePorts(state, true);
    const addresses = { temporal: 'temporal.example:7233', database: 'postgresql://u:p@db.example/sales' };
    const environment = localEnvironment({ projectDir: PROJECT_DIR, stateDir: state.dir, addresses });
    expect(environment).toMatchObject({
      TEMPORAL_ADDRESS: 'temporal.example:7233',
      DATABASE_URL: 'postgresql://u:p@db.example/sales',
      SHELFCAST_HOME: state.dir,
      SHELFCAST_PROJECT: PROJECT_DIR,
      ROUTER_STATE: join(state.dir, 'router.json'),
    });
    expect(environment['RAY_ADDRESS']).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(environment['SHELFCAST_ARTIFACTS']).toMatch(/^file:\/\/\/.*a%20folder/);
  });
});

describe('lock', () => {
  it('lets one in at a time', async () => {
    const path = join(dir, 'lock');
    let inside = 0;
    const work = async () => {
      inside += 1;
      expect(inside).toBe(1);
      await sleep(20);
      inside -= 1;
    };
    await Promise.all([withLock(path, work), withLock(path, work), withLock(path, work)]);
    expect(existsSync(path)).toBe(false);
  });

  it('is taken over from a holder that died', async () => {
    const path = join(dir, 'lock');
    // This process lives, but it did not start at tick 1: the id was another process's once.
    writeFileSync(path, `${process.pid} 1`);
    expect(await withLock(path, () => Promise.resolve('done'))).toBe('done');
  });

  it('is free again after a failure', async () => {
    const path = join(dir, 'lock');
    await expect(withLock(path, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(await withLock(path, () => Promise.resolve('done'))).toBe('done');
  });
});
