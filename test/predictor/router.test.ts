/** The router in front of small servers that fail in ways that a real predictor rarely does. */
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { freePort } from '../../infra/local/ports.ts';
import { createRouter } from '../../predictor/router.ts';
import { RouteTable } from '../../predictor/routes.ts';
import { eventually, removeFolder, scratchFolder, startMain } from './processes.ts';

const TOKEN = 'a-secret';

let folder: string;
let router: ReturnType<typeof createRouter>;
let url: string;
let statePath: string;
const upstreams: Server[] = [];

beforeAll(async () => {
  folder = await scratchFolder();
});

afterAll(() => removeFolder(folder));

beforeEach(async () => {
  statePath = join(folder, `${crypto.randomUUID()}.json`);
  await open();
});

afterEach(async () => {
  await router.close();
  for (const server of upstreams.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function open(options: { answerTimeoutMs?: number } = {}): Promise<void> {
  router = createRouter({
    table: new RouteTable(statePath),
    adminToken: TOKEN,
    logLevel: 'silent',
    ...options,
  });
  url = await router.listen({ host: '127.0.0.1', port: 0 });
}

async function upstream(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  upstreams.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Answers with the request it received. */
const echo: RequestListener = (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({ url: request.url, method: request.method, body: Buffer.concat(chunks).toString() }),
    );
  });
};

const reset: RequestListener = (request) => {
  request.socket.resetAndDestroy();
};

const closed = async (): Promise<string> => `http://127.0.0.1:${await freePort()}`;

interface RouteOf {
  version: number;
  url: string;
  weightPercent: number;
}

async function admin(
  method: string,
  path: string,
  body?: unknown,
  token = TOKEN,
): Promise<[number, unknown]> {
  const response = await fetch(`${url}/-/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return [response.status, await response.json()];
}

async function route(...routes: [version: number, url: string, weightPercent: number][]): Promise<void> {
  const models = {
    m: routes.map(([version, to, weightPercent]): RouteOf => ({ version, url: to, weightPercent })),
  };
  expect((await admin('PUT', 'routes', { models }))[0]).toBe(200);
}

interface Sent {
  status: number;
  by: string | null;
  failed: string | null;
  body: { url?: string; method?: string; body?: string; error?: { code: string; message: string } };
}

async function send(
  headers: Record<string, string> = {},
  body: string | Buffer = '{}',
  path = '/v1/models/m:predict',
): Promise<Sent> {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
  return {
    status: response.status,
    by: response.headers.get('x-shelfcast-version'),
    failed: response.headers.get('x-shelfcast-failed-version'),
    body: (await response.json()) as Sent['body'],
  };
}

it('gives each version exactly its percentage of 100 requests, evenly spread', async () => {
  const at = await upstream(echo);
  await route([1, at, 61], [2, at, 29], [3, at, 10]);
  for (let hundred = 0; hundred < 3; hundred++) {
    const by: (string | null)[] = [];
    for (let i = 0; i < 100; i++) by.push((await send()).by);
    const count = (version: string): number => by.filter((one) => one === version).length;
    expect([count('1'), count('2'), count('3')]).toEqual([61, 29, 10]);
    expect(by.slice(0, 20).filter((one) => one === '3')).toHaveLength(2);
  }
  expect((await admin('GET', 'counters'))[1]).toEqual({
    models: {
      m: [
        { version: 1, requests: 183, failures: 0 },
        { version: 2, requests: 87, failures: 0 },
        { version: 3, requests: 30, failures: 0 },
      ],
    },
  });
});

it('passes path, query and body on unchanged', async () => {
  await route([1, await upstream(echo), 100]);
  const body = '{ "instances" : [ 1.0 ] }';
  const sent = await send({}, body, '/v1/models/m:predict?explain=features');
  expect(sent.body).toEqual({ url: '/v1/models/m:predict?explain=features', method: 'POST', body });
  const large = Buffer.alloc(3_000_000, 'a');
  expect((await send({}, large)).body.body?.length).toBe(large.length);
});

it('answers a client that waits for "100 Continue" before its chunked body, and one that closes', async () => {
  await route([1, await upstream(echo), 100]);
  const waiting = request(`${url}/v1/models/m:predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', expect: '100-continue', connection: 'close' },
  });
  waiting.flushHeaders();
  await once(waiting, 'continue');
  waiting.write('{"a":');
  waiting.end('1}');
  const [answer] = (await once(waiting, 'response')) as [IncomingMessage];
  expect(answer.headers.connection).toBe('close');
  expect(JSON.parse((await answer.setEncoding('utf8').toArray()).join(''))).toMatchObject({
    body: '{"a":1}',
  });
});

it('sends a pinned request to its version and nowhere else', async () => {
  const at = await upstream(echo);
  await route([1, at, 100], [2, at, 0], [3, await closed(), 0]);
  expect((await send({ 'x-shelfcast-version': '2' })).by).toBe('2');
  expect(await send({ 'x-shelfcast-version': '3' })).toMatchObject({
    status: 502,
    by: null,
    failed: '3',
    body: { error: { code: 'VERSION_UNREACHABLE' } },
  });
  expect(await send({ 'x-shelfcast-version': '4' })).toMatchObject({
    status: 404,
    body: {
      error: { code: 'VERSION_NOT_FOUND', message: expect.stringContaining('served are: 1, 2, 3') as string },
    },
  });
});

it.each([
  ['refuses connections', closed],
  ['resets the connection', () => upstream(reset)],
])('moves a request once when its version %s', async (_name, broken) => {
  await route([1, await broken(), 50], [2, await upstream(echo), 50]);
  const sent = [await send({}, '{"a":1}'), await send({}, '{"a":2}')];
  expect(sent.map(({ status, by, failed }) => [status, by, failed])).toEqual([
    [200, '2', '1'],
    [200, '2', null],
  ]);
  expect(sent.map(({ body }) => body.body)).toEqual(['{"a":1}', '{"a":2}']);
  expect((await admin('GET', 'counters'))[1]).toEqual({
    models: {
      m: [
        { version: 1, requests: 1, failures: 1 },
        { version: 2, requests: 2, failures: 0 },
      ],
    },
  });
});

it('moves a request only once, and never to a version without weight', async () => {
  await route([1, await closed(), 50], [2, await closed(), 50]);
  expect(await send()).toMatchObject({
    status: 502,
    failed: '2',
    body: { error: { code: 'VERSION_UNREACHABLE' } },
  });
  await route([1, await closed(), 100], [2, await upstream(echo), 0]);
  expect(await send()).toMatchObject({ status: 502, failed: '1' });
});

it('reports a version that takes too long, and asks no other one', async () => {
  await router.close();
  await open({ answerTimeoutMs: 300 });
  const silent = await upstream(() => undefined);
  const asked: string[] = [];
  const other = await upstream((request, response) => {
    asked.push(request.url ?? '');
    echo(request, response);
  });
  await route([1, silent, 60], [2, other, 40]);
  expect(await send()).toMatchObject({
    status: 504,
    by: null,
    failed: '1',
    body: {
      error: {
        code: 'VERSION_TIMED_OUT',
        message: 'Version 1 of "m" did not answer within 300 ms.',
        version: 1,
      },
    },
  });
  expect(asked).toEqual([]);
  expect((await send()).by).toBe('2');
});

it('closes the connection when a version closes its own in the middle of an answer', async () => {
  const torn = await upstream((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 });
    response.write('{"predictions":[', () => response.socket?.destroy());
  });
  await route([1, torn, 50], [2, await upstream(echo), 50]);
  await expect(send()).rejects.toThrow();
  expect((await send()).by).toBe('2');
});

it('continues when a client leaves before its answer', async () => {
  const waiting: (() => void)[] = [];
  const slow = await upstream((request, response) => {
    waiting.push(() => {
      echo(request, response);
    });
  });
  await route([1, slow, 50], [2, await upstream(echo), 50]);
  const leaving = new AbortController();
  const left = fetch(`${url}/v1/models/m:predict`, { method: 'POST', body: '{}', signal: leaving.signal });
  await eventually('the request', () => Promise.resolve(waiting.length > 0 ? true : undefined));
  leaving.abort();
  await expect(left).rejects.toThrow(/abort/);
  waiting.forEach((answer) => {
    answer();
  });
  expect((await send()).by).toBe('2');
  const counters = { models: { m: [{ requests: 1, failures: 0 }, { requests: 1 }] } };
  await vi.waitFor(async () => {
    expect((await admin('GET', 'counters'))[1]).toMatchObject(counters);
  });
});

it('passes an error of a version on unchanged, and counts it', async () => {
  const broken = await upstream((_request, response) => {
    response
      .writeHead(500, { 'content-type': 'application/json' })
      .end('{"error":{"code":"NON_FINITE_FORECAST"}}');
  });
  await route([1, broken, 50], [2, await upstream(echo), 50]);
  expect(await send()).toMatchObject({
    status: 500,
    by: '1',
    body: { error: { code: 'NON_FINITE_FORECAST' } },
  });
  expect((await admin('GET', 'counters'))[1]).toMatchObject({
    models: { m: [{ version: 1, requests: 1, failures: 1 }, { requests: 0 }] },
  });
});

it('reports a model without traffic and an unknown model', async () => {
  await route([1, await upstream(echo), 0]);
  expect(await send()).toMatchObject({ status: 503, body: { error: { code: 'NO_TRAFFIC' } } });
  expect(await send({}, '{}', '/v1/models/other:predict')).toMatchObject({
    status: 404,
    body: { error: { code: 'MODEL_NOT_FOUND' } },
  });
  expect(await send({}, '{}', '/v1/models/%zz:predict')).toMatchObject({
    status: 400,
    body: { error: { code: 'BAD_REQUEST' } },
  });
  expect(await send({}, '{}', '/nothing')).toMatchObject({
    status: 404,
    body: { error: { code: 'NOT_FOUND' } },
  });
});

it('lists models, and asks the version with the most weight for status without taking a turn', async () => {
  const at = await upstream(echo);
  await route([1, at, 40], [2, at, 60]);
  expect(await (await fetch(`${url}/v1/models`)).json()).toEqual({ models: ['m'] });
  const by: (string | null)[] = [];
  for (let i = 0; i < 5; i++) by.push((await fetch(`${url}/v1/models/m`)).headers.get('x-shelfcast-version'));
  expect(by).toEqual(['2', '2', '2', '2', '2']);
  expect((await admin('GET', 'counters'))[1]).toMatchObject({
    models: { m: [{ requests: 0 }, { requests: 0 }] },
  });
});

it('keeps its routes through a restart, each model by itself', async () => {
  const at = await upstream(echo);
  await route([1, at, 90], [2, at, 10]);
  await admin('PUT', 'routes', { models: { other: [{ version: 7, url: at, weightPercent: 100 }] } });
  const before = (await admin('GET', 'routes'))[1];
  await router.close();
  await open();
  expect((await admin('GET', 'routes'))[1]).toEqual(before);
  expect((await send()).status).toBe(200);
  await admin('PUT', 'routes', { models: { other: [] } });
  expect(Object.keys((JSON.parse(await readFile(statePath, 'utf8')) as { models: object }).models)).toEqual([
    'm',
  ]);
});

const weighted = (...weights: number[]): RouteOf[] =>
  weights.map((weightPercent, i) => ({ version: 1 + i, url: 'http://127.0.0.1:1', weightPercent }));

it.each([
  ['weights that add up to 99', weighted(90, 9)],
  ['weights that add up to 101', weighted(100, 1)],
  ['a weight above 100', weighted(200)],
  ['a fraction', [{ version: 1, url: 'http://127.0.0.1:1', weightPercent: 99.5 }]],
  [
    'a version twice',
    [50, 50].map((weightPercent) => ({ version: 1, url: 'http://127.0.0.1:1', weightPercent })),
  ],
  ['an address of another protocol', [{ version: 1, url: 'file:///etc/passwd', weightPercent: 100 }]],
])('refuses %s and changes nothing', async (_name, routes) => {
  await route([1, await upstream(echo), 100]);
  const before = (await admin('GET', 'routes'))[1];
  expect(await admin('PUT', 'routes', { models: { m: routes } })).toMatchObject([
    400,
    { error: { code: 'INVALID_ROUTES' } },
  ]);
  expect((await admin('GET', 'routes'))[1]).toEqual(before);
});

it('refuses to show or set routes without the token', async () => {
  for (const [method, path] of [
    ['GET', 'routes'],
    ['PUT', 'routes'],
    ['GET', 'counters'],
  ] as const) {
    expect(await admin(method, path, method === 'PUT' ? { models: {} } : undefined, 'guess')).toMatchObject([
      401,
      { error: { code: 'UNAUTHORIZED' } },
    ]);
  }
  expect((await fetch(`${url}/-/routes`)).status).toBe(401);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
});

it('reports requests and moves as metrics', async () => {
  await route([1, await closed(), 50], [2, await upstream(echo), 50]);
  await send();
  const text = await (await fetch(`${url}/metrics`)).text();
  expect(text).toContain('shelfcast_router_requests_total{model="m",version="1",status="unreachable"} 1');
  expect(text).toContain('shelfcast_router_requests_total{model="m",version="2",status="200"} 1');
  expect(text).toContain('shelfcast_router_failovers_total{model="m",version="1"} 1');
});

it('never lets the request line choose the host', async () => {
  await route([1, await upstream(echo), 100]);
  const { port } = new URL(url);
  const socket = connect(Number(port), '127.0.0.1');
  socket.write('GET http://198.51.100.1/v1/models/m HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  expect(answer).toContain('"url":"/v1/models/m"');
});

it.each([
  ['ROUTER_ADMIN_TOKEN is not set', { ROUTER_ADMIN_TOKEN: '' }, '{"models":{}}'],
  ['cannot be read', {}, '{"models":{"m":[{"version":1}'],
])('does not start and prints: %s', async (words, change, state) => {
  await writeFile(statePath, state);
  const port = await freePort();
  const main = startMain('router-main', port, {
    ROUTER_PORT: String(port),
    ROUTER_ADMIN_TOKEN: TOKEN,
    ROUTER_STATE: statePath,
    ...change,
  });
  expect(await main.ended).toBe(1);
  expect(main.output()).toMatch(/^The router cannot start: /);
  expect(main.output()).toContain(words);
});
