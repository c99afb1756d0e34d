import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { isUnavailable, withServiceErrors } from '../../activities/service-errors.ts';
import { ERROR_TYPES } from '../../contracts/errors.ts';
import { freePort } from '../../infra/local/ports.ts';
import { RayJobs } from '../../infra/local/ray-jobs.ts';
import { MlflowClient } from '../../infra/mlflow/client.ts';
import { MlflowError } from '../../infra/mlflow/rest.ts';

const servers: Server[] = [];
const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.on('connection', (socket: Socket) => sockets.push(socket));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}
const httpServer = async (listener: RequestListener) =>
  `http://127.0.0.1:${await listen(createHttpServer(listener))}`;
const tcpServer = (onConnection: (socket: Socket) => void) => listen(createServer(onConnection));
const closedUrl = async () => `http://127.0.0.1:${await freePort()}`;

const failureOf = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error,
  );
const queryFailure = async (port: number) => {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'u', password: 'p' });
  client.on('error', () => undefined);
  return failureOf(client.connect());
};
/** PostgreSQL's answer to a client that it refuses. */
const errorResponse = (code: string): Buffer => {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0Mthe database says no\0\0`);
  const head = Buffer.from('E\0\0\0\0');
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
};

describe('a service is unavailable when it', () => {
  const cases: [string, () => Promise<unknown>][] = [
    ['refuses connections of fetch', async () => failureOf(fetch(await closedUrl()))],
    ['has a name that nobody knows', async () => failureOf(fetch('http://mlflow.invalid'))],
    ['refuses connections of pg', async () => queryFailure(await freePort())],
    [
      'refuses connections at all its addresses',
      async () => {
        const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
        const socket = connect({
          host: 'both',
          port: await freePort(),
          autoSelectFamily: true,
          lookup: (_host, _options, callback) => {
            callback(null, addresses);
          },
        });
        const [error] = (await once(socket, 'error').catch((reason: unknown) => [reason])) as [unknown];
        expect(error).toBeInstanceOf(AggregateError);
        return error;
      },
    ],
    [
      'resets the connection',
      async () => failureOf(fetch(await httpServer(({ socket }) => void socket.resetAndDestroy()))),
    ],
    [
      'breaks off in the middle of an answer',
      async () => {
        const url = await httpServer((_request, response) => {
          response.writeHead(200, { 'content-length': '10' });
          response.write('half', () => response.socket?.destroy());
        });
        return failureOf(fetch(url).then((response) => response.text()));
      },
    ],
    [
      'does not answer in time',
      async () => failureOf(fetch(await httpServer(() => undefined), { signal: AbortSignal.timeout(50) })),
    ],
    ['closes a connection of pg', async () => queryFailure(await tcpServer((socket) => socket.destroy()))],
    [
      'leaves a pool of pg waiting',
      async () => {
        const port = await tcpServer(() => undefined);
        const pool = new pg.Pool({ host: '127.0.0.1', port, max: 1, connectionTimeoutMillis: 50 });
        pool.on('error', () => undefined);
        // The first waits for the server, the second for the first.
        const [first, second] = await Promise.all([failureOf(pool.query('a')), failureOf(pool.query('b'))]);
        expect(isUnavailable(first)).toBe(true);
        return second;
      },
    ],
    ...['57P01', '57P02', '57P03', '08006'].map((code): [string, () => Promise<unknown>] => [
      `is PostgreSQL and says ${code}`,
      async () => queryFailure(await tcpServer((socket) => socket.end(errorResponse(code)))),
    ]),
    [
      'is Ray and refuses connections',
      async () => {
        const jobs = new RayJobs({ address: await closedUrl(), python: 'python' });
        return failureOf(jobs.observe('job', new AbortController().signal));
      },
    ],
    ['is MLflow and refuses connections', async () => mlflowFailure(await closedUrl())],
    ...[408, 429, 502, 503, 504].map((status): [string, () => Promise<unknown>] => [
      `is MLflow and answers ${status}`,
      async () => mlflowFailure(await answering(status)),
    ]),
  ];
  test.each(cases)('%s', async (_name, fail) => {
    const error = await fail();
    expect(isUnavailable(error)).toBe(true);
    const wrapped = new Error('outer', { cause: new Error('inner', { cause: error }) });
    expect(isUnavailable(wrapped)).toBe(true);
  });
});

const answering = (status: number) =>
  httpServer((_request, response) => {
    response.writeHead(status).end('{"error_code": "SOME_CODE", "message": "no"}');
  });
const mlflowFailure = (url: string) => failureOf(new MlflowClient({ url }).versionByAlias('m', 'champion'));

describe('a service is available when it', () => {
  test.each([400, 404, 500])('is MLflow and answers %i', async (status) => {
    const error = await mlflowFailure(await answering(status));
    expect(error).toBeInstanceOf(MlflowError);
    expect(isUnavailable(error)).toBe(false);
  });

  test.each(['28P01', '3D000', '42P01'])('is PostgreSQL and says %s', async (code) => {
    const error = await queryFailure(await tcpServer((socket) => socket.end(errorResponse(code))));
    expect(error).toMatchObject({ code });
    expect(isUnavailable(error)).toBe(false);
  });

  test('is not the cause: a missing file, a bug, a cancellation, a value that is no error', async () => {
    const missing = Object.assign(new Error('no such file'), { code: 'ENOENT' });
    const cancelled = await failureOf(fetch(await closedUrl(), { signal: AbortSignal.abort() }));
    const others = new AggregateError([missing, new TypeError('bug')]);
    for (const error of [missing, new TypeError('bug'), cancelled, others, 'ECONNREFUSED', undefined]) {
      expect(isUnavailable(error)).toBe(false);
    }
  });
});

test('an error shows the end of an unexpected answer of Ray, which holds the last line of a traceback', async () => {
  const url = await httpServer((_request, response) => {
    response.writeHead(500).end(`Traceback${' of a call'.repeat(200)}\nValueError: no space left`);
  });
  const jobs = new RayJobs({ address: url, python: 'python' });
  const error = (await failureOf(jobs.observe('job', new AbortController().signal))) as Error;
  expect(error.message).toMatch(
    /^Ray at .*: asking for job job was answered 500: [^]*ValueError: no space left$/,
  );
  expect(error.message).not.toContain('Traceback');
});

describe('activities', () => {
  const failing = (error: unknown) =>
    withServiceErrors({ ingest: () => Promise.reject(error as Error) }).ingest();

  test('keep their arguments and results', async () => {
    const { add } = withServiceErrors({ add: (a: number, b: number) => Promise.resolve(a + b) });
    expect(await add(2, 3)).toBe(5);
  });

  test('name the unavailable service, are retryable, and keep the cause', async () => {
    const url = await closedUrl();
    const error = await failureOf(fetch(url));
    const failure = await failureOf(failing(error));
    expect(failure).toBeInstanceOf(ApplicationFailure);
    expect(failure).toMatchObject({
      type: ERROR_TYPES.serviceUnavailable,
      nonRetryable: false,
      cause: error,
      message:
        'ingest: fetch failed ' +
        `(connect ECONNREFUSED ${new URL(url).host}); the activity is retried until the service answers`,
    });
  });

  test('name the address also when it is deep inside', async () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED ::1:5000'), { code: 'ECONNREFUSED' });
    const both = new AggregateError([refused, refused], '');
    const failure = await failureOf(failing(new TypeError('fetch failed', { cause: both })));
    expect((failure as Error).message).toContain('connect ECONNREFUSED ::1:5000');
  });

  test('give the reason once when the error and its cause both have it', async () => {
    const failure = await failureOf(failing(await mlflowFailure(await closedUrl())));
    expect((failure as Error).message.match(/ECONNREFUSED/g)).toHaveLength(1);
  });

  test('do not change other errors', async () => {
    const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    const own = ApplicationFailure.create({ type: ERROR_TYPES.jobFailed, cause: refused });
    for (const error of [own, new TypeError('bug'), new CancelledFailure('cancelled'), 'a string']) {
      expect(await failureOf(failing(error))).toBe(error);
    }
  });
});
