/** Login of the MLflow server. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { readLocalConfig, readMlflowServer, readWorkerConfig } from '../../config/environment.ts';
import { MlflowClient } from '../../infra/mlflow/client.ts';

const LOCAL = 'http://127.0.0.1:5000';
const LOGIN = { MLFLOW_TRACKING_USERNAME: 'me', MLFLOW_TRACKING_PASSWORD: 'a:b@c/d' };
const TOKEN = { MLFLOW_TRACKING_TOKEN: 'token' };

const basic = (credentials: string): string => `Basic ${Buffer.from(credentials).toString('base64')}`;

it.each([
  ['none', {}, undefined],
  ['user and password', LOGIN, basic('me:a:b@c/d')],
  [
    'user and password with a percent sign',
    { MLFLOW_TRACKING_USERNAME: 'm%41', MLFLOW_TRACKING_PASSWORD: '100%' },
    basic('m%41:100%'),
  ],
  ['a token', TOKEN, 'Bearer token'],
  ['user and password before a token', { ...LOGIN, ...TOKEN }, basic('me:a:b@c/d')],
])('the client sends %s', async (_, login, authorization) => {
  const seen: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(401).end('who are you?');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const asking = new MlflowClient(readMlflowServer(url, login)).versionByAlias('m', 'champion');
    await expect(asking).rejects.toThrow(/^MLflow: .* answered 401: who are you\?$/);
    expect(seen).toEqual([authorization]);
  } finally {
    server.close();
  }
});

it('the login of the environment replaces that of the URL', () => {
  const env = { MLFLOW_TRACKING_URI: 'https://old:secret@mlflow.example/base' };
  expect(readMlflowServer(LOCAL, { ...env, ...TOKEN })).toEqual({
    url: env.MLFLOW_TRACKING_URI,
    token: undefined,
  });
  const expected = { url: 'https://me:a%3Ab%40c%2Fd@mlflow.example/base', token: undefined };
  expect(readMlflowServer(LOCAL, { ...env, ...LOGIN })).toEqual(expected);
  const worker = {
    TEMPORAL_ADDRESS: 'a:1',
    DATABASE_URL: 'postgresql://a@b/c',
    SHELFCAST_KUBERNETES: 'k.yaml',
  };
  expect(readWorkerConfig({ ...worker, ...env, ...LOGIN }).mlflow).toEqual(expected);
  expect(readLocalConfig({ ...env, ...LOGIN }).addresses.mlflow).toBe(expected.url);
});

it('half a login is refused', () => {
  expect(() => readMlflowServer(LOCAL, { MLFLOW_TRACKING_USERNAME: 'me' })).toThrow(
    'MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD must be set together',
  );
  expect(() => readLocalConfig({ MLFLOW_TRACKING_URI: 'mlflow:5000' })).toThrow(
    /^invalid environment: MLFLOW_TRACKING_URI/,
  );
});
