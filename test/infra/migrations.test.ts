import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureDatabases, migrate, withDatabase } from '../../infra/database.ts';
import type { FeatureDatabase } from '../predictor/processes.ts';
import { scratchFolder, startFeatureDatabase } from '../predictor/processes.ts';

let folder: string;
let server: FeatureDatabase;
beforeAll(async () => {
  folder = await scratchFolder();
  server = await startFeatureDatabase(folder);
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Address of a new database without tables. */
async function emptyDatabase(name: string): Promise<string> {
  await ensureDatabases(server.url, [name]);
  return new URL(`/${name}`, server.url).href;
}

const query = (url: string, sql: string): Promise<unknown[]> =>
  withDatabase(url, async (client) => (await client.query<Record<string, unknown>>(sql)).rows);

const columns = (url: string) =>
  query(
    url,
    `select table_schema, table_name, column_name, data_type, is_nullable from information_schema.columns
     where table_schema not in ('pg_catalog', 'information_schema') order by 1, 2, ordinal_position`,
  );
const applied = (url: string) => query(url, 'select name, run_on from ops.migration order by id');

describe('migrations', { timeout: 60_000 }, () => {
  it('create the tables of an empty database, and change nothing when they are applied again', async () => {
    const url = await emptyDatabase('empty');
    await migrate(url);
    const first = await applied(url);
    expect(first).toContainEqual(expect.objectContaining({ name: '0001_tables' }));
    expect(await columns(url)).toContainEqual(
      expect.objectContaining({ table_name: 'rollout_audit', column_name: 'analysis' }),
    );
    await migrate(url);
    expect(await applied(url)).toEqual(first);
  });

  it('are applied once by several workers that start at once', async () => {
    const url = await emptyDatabase('several');
    await Promise.all(Array.from({ length: 4 }, () => migrate(url)));
    const names = (await applied(url)).map((row) => (row as { name: string }).name);
    expect(names).toEqual([...new Set(names)]);
    expect(names).toContain('0001_tables');
  });

  it('say on which database they failed, without its password', async () => {
    const url = await emptyDatabase('broken');
    await query(url, 'create schema raw');
    const { host, password } = new URL(url);
    const failure = await migrate(url).then(
      () => '',
      (error: unknown) => String(error),
    );
    expect(failure).toMatch(new RegExp(`infra/migrations to ${host}/broken failed: .*raw`));
    expect(failure).not.toContain(password);
    expect(await applied(url)).toEqual([]);
  });
});
