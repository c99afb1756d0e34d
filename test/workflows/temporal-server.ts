/** A real Temporal dev server on free ports, for one test file. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { execa } from 'execa';
import { SEARCH_ATTRIBUTES } from '../../contracts/names.ts';
import { freePort } from '../../infra/local/ports.ts';
import { ensureTemporal } from '../../infra/local/toolchain.ts';
import { PROJECT_DIR } from '../platform.ts';

export interface TemporalServer {
  address: string;
  stop: () => Promise<void>;
}

/** @param searchAttributes Search attributes of the namespace `default`, by name; those of runs unless given */
export async function startTemporalServer(
  searchAttributes: Readonly<Record<string, string>> = Object.fromEntries(
    Object.values(SEARCH_ATTRIBUTES).map((name) => [name, 'Keyword']),
  ),
): Promise<TemporalServer> {
  const binary = await ensureTemporal({ projectDir: PROJECT_DIR }, () => undefined);
  const folder = await mkdtemp(join(tmpdir(), 'shelfcast-temporal-'));
  const port = await freePort();
  const attributes = Object.entries(searchAttributes).flatMap(([name, type]) => [
    '--search-attribute',
    `${name}=${type}`,
  ]);
  const server = execa(
    binary,
    ['server', 'start-dev', '--headless', '--ip', '127.0.0.1', '--port', String(port)].concat(
      ['--db-filename', join(folder, 'temporal.sqlite'), '--log-level', 'error'],
      attributes,
    ),
    { reject: false, all: true },
  );
  const address = `127.0.0.1:${port}`;
  await waitUntilItAnswers(address);
  return {
    address,
    stop: async () => {
      server.kill('SIGTERM', undefined);
      await server;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function waitUntilItAnswers(address: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: '1 second' });
      await connection.workflowService.describeNamespace({ namespace: 'default' });
      await connection.close();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolveSoon) => setTimeout(resolveSoon, 200));
    }
  }
}
