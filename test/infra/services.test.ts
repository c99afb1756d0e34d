import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SEARCH_ATTRIBUTES } from '../../contracts/names.ts';
import { withDatabase } from '../../infra/database.ts';
import { ownProcesses } from '../../infra/local/processes.ts';
import { readEndpoints, startServices } from '../../infra/local/services.ts';
import { supervisorPid } from '../../infra/local/supervisor.ts';
import type { TestPlatform } from '../platform.ts';
import { startTestPlatform } from '../platform.ts';

const SERVICES = ['mlflow', 'postgres', 'ray', 'router', 'temporal', 'worker'];

describe('local services', { timeout: 180_000 }, () => {
  let platform: TestPlatform;
  beforeAll(async () => {
    platform = await startTestPlatform('services');
  }, 300_000);
  afterAll(() => platform.stop(), 60_000);

  const getJson = async (url: string, headers: Record<string, string> = {}): Promise<unknown> => {
    const response = await fetch(url, { headers });
    if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
    return response.json();
  };
  /** Ray's own processes, all but the head's first, whose name is Python's. */
  const rayProcesses = () =>
    ownProcesses(platform.state).filter((pid) =>
      /^(ray|gcs_server)/.test(readFileSync(`/proc/${pid}/comm`, 'utf8')),
    );
  const database = () => platform.environment['DATABASE_URL'] ?? '';
  const experiments = `/api/2.0/mlflow/experiments/search?max_results=1`;

  it('returns all addresses, without a password', () => {
    const { endpoints, secrets, state } = platform;
    expect(Object.keys(endpoints.pids).sort()).toEqual(SERVICES);
    expect(readEndpoints(state.dir)).toEqual(endpoints);
    expect(readFileSync(join(state.dir, 'endpoints.json'), 'utf8')).not.toContain(secrets.postgresPassword);
  });

  it('starts nothing twice', async () => {
    const again = await Promise.all([
      startServices(platform.config, () => undefined),
      startServices(platform.config, () => undefined),
    ]);
    for (const endpoints of again) expect(endpoints).toEqual(platform.endpoints);
  });

  it('gives Temporal the search attributes', async () => {
    const url = `${platform.endpoints.temporalUi}/api/v1/namespaces/default/search-attributes`;
    const { customAttributes } = (await getJson(url)) as { customAttributes: Record<string, string> };
    for (const name of Object.values(SEARCH_ATTRIBUTES)) {
      expect(customAttributes[name]).toBe('INDEXED_VALUE_TYPE_KEYWORD');
    }
  });

  it('lets programs and its own page call MLflow, but no other page', async () => {
    const { mlflow } = platform.endpoints;
    const url = `${mlflow}${experiments}`;
    await expect(getJson(url)).resolves.toHaveProperty('experiments');
    await expect(getJson(url, { origin: mlflow })).resolves.toHaveProperty('experiments');
    await expect(getJson(url.replace('127.0.0.1', 'localhost'))).resolves.toHaveProperty('experiments');
    const foreign = await fetch(`${mlflow}/api/2.0/mlflow/experiments/create`, {
      method: 'POST',
      headers: { origin: 'http://elsewhere.example', 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'from another page' }),
    });
    expect(foreign.status).toBe(403);
  });

  it('keeps artifacts in the state folder', async () => {
    const url = `${platform.endpoints.mlflow}/api/2.0/mlflow-artifacts/artifacts/test/hello.txt`;
    expect((await fetch(url, { method: 'PUT', body: 'hello' })).status).toBe(200);
    expect(readFileSync(join(platform.state.dir, 'mlflow', 'test', 'hello.txt'), 'utf8')).toBe('hello');
  });

  it('has a new Ray head, and nothing of the old one, after the head was killed', async () => {
    const old = rayProcesses();
    expect(old.length).toBeGreaterThan(0);
    const head = await platform.kill('ray');
    await platform.waitUntilUp();
    expect((await platform.pids()).get('ray')).toBe(head);
    expect(rayProcesses().filter((pid) => old.includes(pid))).toEqual([]);
    const nodes = `${platform.endpoints.ray}/api/v0/nodes`;
    await expect(getJson(nodes)).rejects.toThrow('answered 401');
    const headers = { authorization: `Bearer ${platform.secrets.rayToken}` };
    expect(await getJson(nodes, headers)).toMatchObject({ data: { result: { total: 1 } } });
  });

  it('has the same data after every process was killed', async () => {
    await withDatabase(database(), (client) =>
      client.query(`insert into ops.feature_watermark values ('p', '2026-01-02', 's')`),
    );
    const daemon = supervisorPid(platform.state);
    for (const pid of [daemon ?? 0, ...ownProcesses(platform.state)]) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        continue; // its parent's death was its own
      }
    }
    const endpoints = await startServices(platform.config, () => undefined);
    expect(Object.keys(endpoints.pids).sort()).toEqual(SERVICES);
    const rows = await withDatabase(database(), (client) =>
      client.query('select * from ops.feature_watermark'),
    );
    expect(rows.rowCount).toBe(1);
  });

  it('leaves no process when it is stopped', async () => {
    await platform.stop();
    expect(ownProcesses(platform.state)).toEqual([]);
    await expect(fetch(platform.endpoints.mlflow)).rejects.toThrow();
  });
});
