/** The reader of online features on a real PostgreSQL, behind a proxy that can fall silent. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { modelManifestSchema } from '../../contracts/model.ts';
import type { ModelManifest } from '../../contracts/model.ts';
import { openPool } from '../../predictor/feast-tables.ts';
import { createOnlineFeatures } from '../../predictor/online-features.ts';
import { createReadiness } from '../../predictor/readiness.ts';
import type { FeatureDatabase } from './processes.ts';
import { removeFolder, scratchFolder, startFeatureDatabase } from './processes.ts';
import { writeFeastRows, writeModels } from './python.ts';

let folder: string;
let database: FeatureDatabase;
let manifest: ModelManifest;
let proxy: Proxy;
let pool: pg.Pool;

/** Hands bytes on both ways; a connection that was silenced stays open and never answers again. */
class Proxy {
  readonly #server: Server;
  readonly #sockets: Socket[] = [];

  constructor(port: number) {
    this.#server = createServer((client) => {
      const server = connect(port, '127.0.0.1');
      this.#sockets.push(client, server);
      client.pipe(server).pipe(client);
      for (const socket of [client, server]) socket.on('error', () => undefined);
    }).listen(0, '127.0.0.1');
  }

  async port(): Promise<number> {
    if (!this.#server.listening) await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  silence(): void {
    for (const socket of this.#sockets.splice(0)) socket.unpipe().on('data', () => undefined);
  }

  close(): void {
    this.silence();
    this.#server.close();
  }
}

beforeAll(async () => {
  folder = await scratchFolder();
  [database] = await Promise.all([startFeatureDatabase(folder), writeModels(join(folder, 'models'), [0])]);
  await writeFeastRows(database.url);
  await database.run(
    "insert into ops.feature_watermark values ('shelfcast_golden', '2012-01-27', 'golden-1-000000000000')",
  );
  const text = await readFile(join(folder, 'models', '1', 'model.json'), 'utf8');
  manifest = modelManifestSchema.parse(JSON.parse(text));
}, 90_000);

afterAll(async () => {
  await database.stop();
  await removeFolder(folder);
}, 30_000);

beforeEach(async () => {
  const url = new URL(database.url);
  proxy = new Proxy(Number(url.port));
  url.port = String(await proxy.port());
  pool = openPool(url.href);
});

afterEach(async () => {
  await pool.end();
  proxy.close();
});

const rowsOf = (...horizons: number[]) =>
  horizons.map((horizon, instance) => {
    const asked = { store: 1 + (instance % 2), dept: 3 };
    return { instance, ...asked, horizon, asked: { index: instance, ...asked } };
  });

const read = (...horizons: number[]) =>
  createOnlineFeatures(pool, manifest).read(
    rowsOf(...horizons),
    new Float64Array(horizons.length * manifest.features.length),
  );

it('queries the database five times a request, for any number of instances and horizons', async () => {
  const statements: string[] = [];
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: [{ name?: string }]) => {
      statements.push(args[0].name ?? 'unnamed');
      return query(...args);
    }) as typeof client.query;
  });
  const views = ['calendar', 'sales_history', 'store_attributes', 'store_externals'];
  await read(1);
  expect(statements.splice(0).sort()).toEqual([...views.map((view) => `${view}:1`), 'watermark']);
  await read(...Array.from({ length: 600 }, (_, i) => [1, 2, 12][i % 3] ?? 0));
  expect(statements.splice(0).sort()).toEqual([...views.map((view) => `${view}:all`), 'watermark']);
});

it('refuses when the database stops answering, and keeps no waiting connection', async () => {
  await read(1, 2);
  proxy.silence();
  const begin = performance.now();
  await expect(read(1, 2)).rejects.toMatchObject({ status: 503, code: 'FEATURES_UNAVAILABLE' });
  expect(performance.now() - begin).toBeGreaterThan(4_000);
  const again = performance.now();
  await read(1, 2);
  expect(performance.now() - again).toBeLessThan(4_000);
}, 30_000);

it('is not ready within seconds when the database stops answering', async () => {
  const readiness = createReadiness(pool);
  expect(await readiness.check()).toEqual({ ready: true, reason: '' });
  proxy.silence();
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  const begin = performance.now();
  expect(await readiness.check()).toEqual({
    ready: false,
    reason: 'The database of the features does not answer: no answer within 2000 ms.',
  });
  expect(performance.now() - begin).toBeLessThan(4_000);
}, 30_000);
