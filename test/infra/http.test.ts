import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HttpError, HttpService } from '../../infra/http.ts';
import { freePort } from '../../infra/local/ports.ts';
import { answersHttp } from '../../infra/local/readiness.ts';

interface Seen {
  method: string | undefined;
  path: string | undefined;
  headers: IncomingHttpHeaders;
  body: string;
  port: number | undefined;
}

let server: Server;
let url: string;
const seen: Seen[] = [];
beforeAll(async () => {
  server = createServer((request, response) => {
    void text(request).then((body) => {
      const { method, url: path, headers, socket } = request;
      seen.push({ method, path, headers, body, port: socket.remotePort });
      if (path === '/silent') return;
      const status = Number(/\/status\/(\d+)/.exec(path ?? '')?.[1] ?? 200);
      response.writeHead(status, { 'x-one': '1', 'x-two': ['1', '2'] }).end('x'.repeat(600));
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const timeoutMs = 5_000;
const last = (): Seen | undefined => seen.at(-1);

test('objects are sent as JSON, bytes as they are, with the token and the headers asked for', async () => {
  const service = new HttpService({ name: 'Ray', url: `${url}/base/`, token: 'secret' });
  await service.send('POST', '/jobs', { body: { a: 1 }, headers: { 'x-more': 'yes' }, timeoutMs });
  expect(last()).toMatchObject({ method: 'POST', path: '/base/jobs', body: '{"a":1}' });
  expect(last()?.headers).toMatchObject({
    'content-type': 'application/json',
    authorization: 'Bearer secret',
    'x-more': 'yes',
  });
  await service.send('PUT', '/file', { body: Buffer.from('bytes'), timeoutMs });
  expect(last()).toMatchObject({ body: 'bytes', headers: { 'content-type': 'application/octet-stream' } });
  await service.send('GET', '/jobs?a=%20', { timeoutMs });
  expect(last()).toMatchObject({ path: '/base/jobs?a=%20', body: '' });
  expect(last()?.headers).not.toHaveProperty('content-type');
  // Ray takes a request with these for one of a web page and refuses it.
  for (const name of ['sec-fetch-mode', 'user-agent']) expect(last()?.headers).not.toHaveProperty(name);
});

test('credentials of the URL are sent and are in no error', async () => {
  const { host } = new URL(url);
  const service = new HttpService({ name: 'MLflow', url: `http://me:p%40ss@${host}/` });
  const answer = await service.send('GET', '/', { timeoutMs });
  expect(last()?.headers.authorization).toBe(`Basic ${Buffer.from('me:p@ss').toString('base64')}`);
  expect(service.unexpectedAnswer('asking', answer).message).toBe(
    `MLflow at ${url}: asking was answered 200: ${'x'.repeat(500)}`,
  );
});

test('a readiness probe sends the credentials of its URL, with or without a slash at the end', async () => {
  await answersHttp('MLflow', `http://me:secret@${new URL(url).host}/`, '/health')();
  expect(last()).toMatchObject({ path: '/health' });
  expect(last()?.headers.authorization).toBe(`Basic ${Buffer.from('me:secret').toString('base64')}`);
  await expect(answersHttp('MLflow', url, '/status/503')()).rejects.toThrow(
    'GET /status/503 was answered 503',
  );
});

test('an answer has its status, and a header unless it comes twice', async () => {
  const service = new HttpService({ name: 'MLflow', url });
  const answer = await service.send('GET', '/status/404', { timeoutMs });
  expect(answer).toMatchObject({ ok: false, status: 404 });
  expect(['x-one', 'x-two', 'x-none'].map((name) => answer.header(name))).toEqual(['1', null, null]);
  expect(await service.send('GET', '/status/204', { timeoutMs })).toMatchObject({ ok: true, text: '' });
});

test('connections are kept, unless they are to be closed', async () => {
  const service = new HttpService({ name: 'the gateway', url });
  const portsOfFive = async (closesConnection: boolean) => {
    const ports = new Set<number | undefined>();
    for (let i = 0; i < 5; i++) {
      await service.send('GET', '/', { timeoutMs, closesConnection });
      ports.add(last()?.port);
    }
    return ports.size;
  };
  expect(await portsOfFive(false)).toBeLessThan(5);
  expect(await portsOfFive(true)).toBe(5);
});

test('no answer is an error that names the service, the request and the reason', async () => {
  const port = await freePort();
  const service = new HttpService({
    name: 'the router',
    url: `http://me:secret@127.0.0.1:${port}`,
    advice: 'check its log',
  });
  await expect(service.send('PUT', '/-/routes', { timeoutMs })).rejects.toThrow(
    `the router at http://127.0.0.1:${port} did not answer PUT /-/routes: connect ECONNREFUSED 127.0.0.1:${port}; check its log`,
  );
  await expect(
    new HttpService({ name: 'MLflow', url }).send('GET', '/silent', { timeoutMs: 50 }),
  ).rejects.toMatchObject({
    message: /MLflow at .* did not answer GET \/silent: .*timeout/,
    cause: { name: 'TimeoutError' },
  });
});

test("a caller's abort is thrown unchanged", async () => {
  const service = new HttpService({ name: 'MLflow', url });
  const reason = new Error('cancelled');
  const controller = new AbortController();
  const answer = service.send('GET', '/silent', { timeoutMs, signal: controller.signal });
  controller.abort(reason);
  await expect(answer).rejects.toBe(reason);
});

test.each([
  [408, true],
  [429, true],
  [502, true],
  [503, true],
  [504, true],
  [400, false],
  [404, false],
  [500, false],
  [501, false],
])('after an answer of %i it is %s that a retry helps', (status, helps) => {
  expect(new HttpError('no', status).isUnavailable).toBe(helps);
});

test('a login with a % that encodes no character gets a sentence without the password', () => {
  for (const login of ['me:50%off', 'm%e:x', 'me:%ff']) {
    const open = (): HttpService =>
      new HttpService({ name: 'MLflow', url: `http://${login}@mlflow.example` });
    expect(open).toThrow(
      /^the user or the password in the address of MLflow at http:\/\/mlflow\.example has a % .*write %25 for a %/,
    );
    expect(open).not.toThrow(/50|%ff|m%e/);
  }
});
