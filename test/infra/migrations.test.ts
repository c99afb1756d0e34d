import { readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keepsSettings } from '../../contracts/database-address.ts';
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

describe('a pooler', () => {
  it('that refuses the settings of a session gets one sentence', async () => {
    const refusal = 'SFATAL\0C08P01\0Munsupported startup parameter: options\0\0';
    const size = Buffer.alloc(4);
    size.writeInt32BE(refusal.length + 4);
    const pooler = createServer((socket) => {
      socket.once('data', () => socket.end(Buffer.concat([Buffer.from('E'), size, Buffer.from(refusal)])));
    });
    await new Promise<void>((resolve) => pooler.listen(0, '127.0.0.1', resolve));
    const { port } = pooler.address() as AddressInfo;
    await expect(migrate(`postgresql://me:secret@127.0.0.1:${port}/d`)).rejects.toThrow(
      /^DATABASE_URL leads to a pooler, like PgBouncer, .* give the address of PostgreSQL itself$/,
    );
    await new Promise((resolve) => pooler.close(resolve));
  });

  it('that ignores them is noticed', async () => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    expect(await keepsSettings((text) => client.query(text))).toBe(false);
    await client.end();
    expect(await keepsSettings((text) => withDatabase(server.url, (own) => own.query(text)))).toBe(true);
  });
});

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

  it('give an id to each number of data that were loaded before', async () => {
    const url = await emptyDatabase('before');
    await query(
      url,
      `create schema ops;
       create table ops.migration (id serial primary key, name text not null, run_on timestamp not null);
       insert into ops.migration (name, run_on) values ('0001_tables', now());
       ${await readFile('infra/migrations/0001_tables.sql', 'utf8')}
       insert into raw.batch (dataset, request_id, source, content_hash, row_count)
         select dataset, dataset || n, '{}', '', 1 from unnest(array['a', 'b']) as dataset, generate_series(1, 2) as n
         order by dataset, n;
       insert into raw.sales values ('a', 7, 12, '2024-01-05', 1, false, 2), ('a', 7, 12, '2024-01-05', 2, false, 1);
       insert into raw.extra values ('a', 'parking', 9, 0, '0001-01-01', 1, 1), ('a', 'promo', 7, 13, '2024-01-05', 1, 2);
       insert into raw.store values ('a', 7, 'B', 1, 1), ('b', 999999999, 'Z', 1, 3), ('b', 999999999, 'B', 1, 4);
       insert into raw.store_week (dataset, store, week, is_holiday, batch_id) values ('b', 5, '2024-01-05', false, 4)`,
    );
    await migrate(url);
    expect(await query(url, 'select * from raw.id order by dataset, "of" desc, number, id')).toEqual(
      [
        ['a', 'type', 'B', 2, '1'],
        ['a', 'store', '7', 7, '1'],
        ['a', 'store', '9', 9, '1'],
        ['a', 'dept', '12', 12, '1'],
        ['a', 'dept', '13', 13, '2'],
        ['b', 'type', 'B', 2, '4'],
        ['b', 'type', 'Z', 26, '3'],
        ['b', 'store', '5', 5, '4'],
        ['b', 'store', '999999999', 999_999_999, '3'],
      ].map(([dataset, of, id, number, batch_id]) => ({
        dataset,
        of,
        id,
        number,
        is_current: true,
        batch_id,
      })),
    );
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
