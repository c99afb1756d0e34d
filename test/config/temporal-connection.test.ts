/** A Temporal behind mutual TLS, as Temporal Cloud and careful installations have it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Server } from 'node:tls';
import { createServer } from 'node:tls';
import { NativeConnection } from '@temporalio/worker';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect } from '../../client/client.ts';
import { readTemporalConfig } from '../../config/environment.ts';
import type { TemporalServer } from '../workflows/temporal-server.ts';
import { startTemporalServer } from '../workflows/temporal-server.ts';

const SERVER_NAME = 'temporal.example';

describe('a Temporal behind mutual TLS', () => {
  let folder: string;
  let temporal: TemporalServer;
  let gate: Server;
  let environment: Record<string, string>;
  const file = (name: string): string => join(folder, name);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'shelfcast-tls-'));
    const openssl = (...args: string[]) => execa('openssl', args, { cwd: folder });
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    await openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=ca');
    for (const [name, extension] of [
      ['server', `subjectAltName=DNS:${SERVER_NAME}\nextendedKeyUsage=serverAuth`],
      ['client', 'extendedKeyUsage=clientAuth'],
    ] as const) {
      writeFileSync(file(`${name}.ext`), extension);
      await openssl(
        'req',
        ...newKey,
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.csr`,
        '-subj',
        `/CN=${name}`,
      );
      const signing = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', `${name}.ext`];
      await openssl('x509', '-req', '-in', `${name}.csr`, ...signing, '-out', `${name}.crt`);
    }
    temporal = await startTemporalServer();
    const read = (name: string) => readFileSync(file(name));
    const asked = {
      cert: read('server.crt'),
      key: read('server.key'),
      ca: read('ca.crt'),
      requestCert: true,
    };
    gate = createServer({ ...asked, rejectUnauthorized: true, ALPNProtocols: ['h2'] }, (client) => {
      const [host, port] = temporal.address.split(':');
      const server = connectTcp(Number(port), host);
      client.pipe(server).pipe(client);
      client.on('error', () => server.destroy());
      server.on('error', () => client.destroy());
    });
    await new Promise<void>((resolve) => gate.listen(0, '127.0.0.1', resolve));
    environment = {
      TEMPORAL_ADDRESS: `127.0.0.1:${(gate.address() as AddressInfo).port}`,
      TEMPORAL_TLS_CA: file('ca.crt'),
      TEMPORAL_TLS_CERT: file('client.crt'),
      TEMPORAL_TLS_KEY: file('client.key'),
      TEMPORAL_TLS_SERVER_NAME: SERVER_NAME,
    };
  });
  afterAll(async () => {
    gate.close();
    await temporal.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('answers clients and workers that have the files', async () => {
    const config = readTemporalConfig(environment);
    const shelfcast = await connect(config);
    expect(await shelfcast.currentRun()).toBeNull();
    await shelfcast.close();
    const connection = await NativeConnection.connect({ address: config.address, tls: config.tls ?? null });
    await connection.close();
  });

  test.each([
    [
      'a plain connection',
      ['TEMPORAL_TLS_CA', 'TEMPORAL_TLS_CERT', 'TEMPORAL_TLS_KEY', 'TEMPORAL_TLS_SERVER_NAME'],
    ],
    ['a client without a certificate', ['TEMPORAL_TLS_CERT', 'TEMPORAL_TLS_KEY']],
    ['a client that does not know the authority', ['TEMPORAL_TLS_CA']],
    ['a client that expects another name', ['TEMPORAL_TLS_SERVER_NAME']],
  ])('does not answer %s', async (_name, absent) => {
    const kept = Object.entries(environment).filter(([name]) => !absent.includes(name));
    const config = readTemporalConfig(Object.fromEntries(kept));
    await expect(connect(config, { connectTimeoutMs: 1_000 })).rejects.toMatchObject({
      type: 'ServiceUnavailable',
    });
  });
});

test.each([
  [{ TEMPORAL_TLS_CERT: 'a.crt' }, 'TEMPORAL_TLS_CERT and TEMPORAL_TLS_KEY must be set together'],
  [{ TEMPORAL_TLS: 'false', TEMPORAL_API_KEY: 'key' }, 'TEMPORAL_TLS is "false", but'],
  [{ TEMPORAL_TLS_CA: '/nowhere/ca.crt' }, 'TEMPORAL_TLS_CA: cannot read /nowhere/ca.crt'],
])('%j is refused with a sentence', (wrong, sentence) => {
  expect(() => readTemporalConfig({ TEMPORAL_ADDRESS: 'localhost:7233', ...wrong })).toThrow(sentence);
});

test.each([
  [{}, {}],
  [{ TEMPORAL_TLS: 'true' }, { tls: true }],
  [{ TEMPORAL_API_KEY: 'key' }, { tls: true, apiKey: 'key' }],
])('%j connects with %j', (given, expected) => {
  const { tls, apiKey } = readTemporalConfig({ TEMPORAL_ADDRESS: 'localhost:7233', ...given });
  expect({ tls, apiKey }).toEqual({ tls: undefined, apiKey: undefined, ...expected });
});
