/** The real router before small versions, which write down what they are asked. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Endpoint } from '../../activities/endpoint.ts';
import type { PredictInstance } from '../../contracts/predict.ts';
import { createRouter } from '../../predictor/router.ts';
import { RouteTable } from '../../predictor/routes.ts';

const MODEL = 'm';

interface Reply {
  status: number;
  body: unknown;
  delayMs?: number;
}

export interface SmallVersion {
  weightPercent: number;
  /** `n` counts the version's requests from 1. Null drops the connection without an answer. */
  answer: (instances: PredictInstance[], n: number) => Reply | null;
}

interface Asked {
  version: number;
  /** Whether the request named its version. */
  pinned: boolean;
  instances: PredictInstance[];
}

export interface SmallEndpoint extends Endpoint {
  /** All requests that reached a version, in order. */
  asked: Asked[];
  stop(): Promise<void>;
}

export async function startEndpoint(versions: Record<number, SmallVersion>): Promise<SmallEndpoint> {
  const folder = await mkdtemp(join(tmpdir(), 'shelfcast-endpoint-'));
  const asked: Asked[] = [];
  const servers = Object.entries(versions).map(([version, { answer, weightPercent }]) => {
    const number = Number(version);
    let n = 0;
    const server = createServer((request, response) => {
      void instancesOf(request).then((instances) => {
        asked.push({ version: number, pinned: 'x-shelfcast-version' in request.headers, instances });
        n += 1;
        return reply(response, answer(instances, n));
      });
    }).listen(0, '127.0.0.1');
    return { version: number, weightPercent, server };
  });
  await Promise.all(servers.map(({ server }) => once(server, 'listening')));

  const table = new RouteTable(join(folder, 'routes.json'));
  const routes = servers.map(({ server, ...route }) => ({
    ...route,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  }));
  table.replace({ models: { [MODEL]: routes } });
  const router = createRouter({ table, adminToken: 'a-secret', logLevel: 'silent' });
  return {
    url: await router.listen({ host: '127.0.0.1', port: 0 }),
    modelName: MODEL,
    asked,
    async stop() {
      for (const { server } of servers) {
        server.closeAllConnections();
        server.close();
      }
      router.server.closeAllConnections();
      await router.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function instancesOf(request: IncomingMessage): Promise<PredictInstance[]> {
  const text = (await request.setEncoding('utf8').toArray()).join('');
  return (JSON.parse(text) as { instances: PredictInstance[] }).instances;
}

async function reply(response: ServerResponse, answer: Reply | null): Promise<void> {
  if (answer === null) {
    response.socket?.resetAndDestroy();
    return;
  }
  await sleep(answer.delayMs ?? 0);
  response.writeHead(answer.status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(answer.body));
}
