import { createServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isUnavailable } from '../../../activities/service-errors.ts';
import { KubernetesApi } from '../../../infra/kubernetes/api.ts';
import { KubernetesConflict, KubernetesError, MissingOperator } from '../../../infra/kubernetes/errors.ts';
import { freePort } from '../../../infra/local/ports.ts';
import { FakeCluster, forbidden, refused } from './fake-cluster.ts';

const JOBS = '/apis/batch/v1/namespaces/shelfcast/jobs';
const JOB = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'a' } };

let cluster: FakeCluster;
let api: KubernetesApi;
beforeEach(async () => {
  cluster = await FakeCluster.start();
  cluster.kinds.add('batch/v1 Job').add('v1 Pod').add('v1 Event');
  api = new KubernetesApi(cluster.kubeConfig, 'shelfcast', { timeoutMs: 1_000 });
});
afterEach(() => cluster.stop());

/** The error that rejected the promise. */
const errorOf = async (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => {
      throw new Error('it succeeded');
    },
    (error: unknown) => error as Error,
  );

describe('objects', () => {
  it('reads what is there, and null for what is not', async () => {
    expect(await api.read(JOB)).toBeNull();
    cluster.put(JOB);
    expect(await api.read(JOB)).toEqual(JOB);
    expect(cluster.requests.filter((request) => request === 'GET /apis/batch/v1')).toHaveLength(1);
  });

  it('lists by labels, with the kind in each item', async () => {
    const queries: string[] = [];
    cluster.answers.set(`GET ${JOBS}`, (_, query) => {
      queries.push(query.toString());
      return { status: 200, body: { items: [{ metadata: { name: 'a' } }] } };
    });
    expect(await api.list('batch/v1', 'Job', 'app=x')).toEqual([JOB]);
    expect(queries).toEqual(['labelSelector=app%3Dx']);
  });

  it('creates an object once: the second time it reports that there is one', async () => {
    cluster.answers.set(`POST ${JOBS}`, (body) => ({ status: 201, body: body as object }));
    expect(await api.create(JOB)).toEqual(JOB);
    cluster.answers.set(`POST ${JOBS}`, () => refused(409, 'AlreadyExists', 'jobs.batch "a" already exists'));
    expect(await api.create(JOB)).toBeNull();
  });

  it('distinguishes a lost race from an existing object', async () => {
    cluster.answers.set(`POST ${JOBS}`, () => refused(409, 'Conflict', 'the quota was changed'));
    expect(await errorOf(api.create(JOB))).toBeInstanceOf(KubernetesConflict);
    cluster.answers.set(`PATCH ${JOBS}/a`, () => refused(409, 'Conflict', 'the object has been modified'));
    expect(await errorOf(api.apply(JOB))).toBeInstanceOf(KubernetesConflict);
  });

  it('applies as its own field manager, by force', async () => {
    const queries: string[] = [];
    cluster.answers.set(`PATCH ${JOBS}/a`, (body, query) => {
      queries.push(query.toString());
      return { status: 200, body: body as object };
    });
    expect(await api.apply({ ...JOB, spec: { suspend: true } })).toEqual({ ...JOB, spec: { suspend: true } });
    expect(queries).toEqual(['fieldManager=shelfcast&force=true']);
  });

  it('removes everything that an object owns, before or after the object', async () => {
    const bodies: unknown[] = [];
    cluster.answers.set(`DELETE ${JOBS}/a`, (body) => {
      bodies.push(body);
      return { status: 200, body: {} };
    });
    await api.remove(JOB);
    await api.remove(JOB, undefined, 'Background');
    expect(bodies).toEqual([{ propagationPolicy: 'Foreground' }, { propagationPolicy: 'Background' }]);
    await expect(api.remove({ ...JOB, metadata: { name: 'absent' } })).resolves.toBeUndefined();
  });

  it('reads no log of a container that waits or is gone', async () => {
    const path = 'GET /api/v1/namespaces/shelfcast/pods/p/log';
    for (const [status, reason] of [
      [400, 'BadRequest'],
      [404, 'NotFound'],
    ] as const) {
      cluster.answers.set(path, () => refused(status, reason, 'container "job" is waiting to start'));
      expect(await api.podLog('p', 'job', 10)).toBe('');
    }
  });

  it('sorts events by time, whichever field says when', async () => {
    const events = (query: URLSearchParams) =>
      query.get('fieldSelector') === 'involvedObject.name=a'
        ? [{ reason: 'third', lastTimestamp: '2026-01-01T00:00:02Z', metadata: {} }]
        : [
            { reason: 'second', eventTime: '2026-01-01T00:00:01.500000Z', metadata: {} },
            { reason: 'first', metadata: { creationTimestamp: '2026-01-01T00:00:01Z' } },
          ];
    cluster.answers.set('GET /api/v1/namespaces/shelfcast/events', (_, query) => ({
      status: 200,
      body: { items: events(query) },
    }));
    const reasons = (await api.eventsOf('name', ['a', 'b'])).map(({ reason }) => reason);
    expect(reasons).toEqual(['first', 'second', 'third']);
  });
});

describe('errors', () => {
  it('name the operation, the object and the answer', async () => {
    cluster.answers.set(`GET ${JOBS}/a`, () => forbidden('jobs "a"'));
    const error = await errorOf(api.read(JOB));
    expect(error).toBeInstanceOf(KubernetesError);
    expect(error.message).toBe(
      'Kubernetes: reading Job "a" in namespace "shelfcast" was answered 403 Forbidden: ' +
        'jobs "a" is forbidden: User "somebody" cannot do that',
    );
    expect(isUnavailable(error)).toBe(false);
  });

  it('name the operator that is missing, also when it goes away later', async () => {
    const ray = { apiVersion: 'ray.io/v1', kind: 'RayJob', metadata: { name: 'r' } };
    expect(await api.has('ray.io/v1', 'RayJob')).toBe(false);
    const error = await errorOf(api.read(ray));
    expect(error).toBeInstanceOf(MissingOperator);
    expect(error.message).toContain('this cluster has no RayJob of ray.io/v1: install KubeRay');
    cluster.put(ray);
    expect(await api.read(ray)).toEqual(ray);
    cluster.answers.set('GET /apis/ray.io/v1/namespaces/shelfcast/rayjobs/r', () => ({
      status: 404,
      body: {},
    }));
    expect(await errorOf(api.read(ray))).toBeInstanceOf(MissingOperator);
  });

  it.each([429, 500, 502, 503, 504])('%i means that the service is unavailable', async (status) => {
    cluster.answers.set(`GET ${JOBS}/a`, () => refused(status, 'Unavailable', 'the store does not answer'));
    expect(isUnavailable(await errorOf(api.read(JOB)))).toBe(true);
  });

  it('name the server that refuses connections', async () => {
    const nowhere = new KubeConfig();
    const server = `http://127.0.0.1:${await freePort()}`;
    nowhere.loadFromClusterAndUser({ name: 'none', server, skipTLSVerify: true }, { name: 'somebody' });
    const error = await errorOf(new KubernetesApi(nowhere, 'shelfcast').read(JOB));
    expect(error.message).toMatch(
      new RegExp(`^Kubernetes at ${server} did not answer: asking for the kinds of batch/v1: .*ECONNREFUSED`),
    );
    expect(isUnavailable(error)).toBe(true);
  });

  it('report a server that hangs', async () => {
    const silent = await listen(createServer(() => undefined));
    const kubeConfig = new KubeConfig();
    const { port } = silent.address() as AddressInfo;
    const hanging = { name: 'silent', server: `http://127.0.0.1:${port}`, skipTLSVerify: true };
    kubeConfig.loadFromClusterAndUser(hanging, { name: 'somebody' });
    const error = await errorOf(new KubernetesApi(kubeConfig, 'shelfcast', { timeoutMs: 200 }).read(JOB));
    expect(error.message).toContain('did not answer');
    expect(isUnavailable(error)).toBe(true);
    silent.close();
  });

  it("are the caller's reason when the caller aborted", async () => {
    const reason = new Error('cancelled');
    await expect(api.read(JOB, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

it('keeps its connections for the next requests', async () => {
  let connections = 0;
  const server = await listen(
    createServer((_, response) => {
      response.end(JSON.stringify({ resources: [{ name: 'jobs', kind: 'Job', namespaced: true }] }));
    }).on('connection', () => connections++),
  );
  const kubeConfig = new KubeConfig();
  const { port } = server.address() as AddressInfo;
  const trusting = { name: 'c', server: `http://127.0.0.1:${port}`, skipTLSVerify: true };
  kubeConfig.loadFromClusterAndUser(trusting, { name: 'somebody', token: 'secret' });
  const client = new KubernetesApi(kubeConfig, 'shelfcast');
  for (let n = 0; n < 10; n++) await client.read(JOB);
  // The second request may come before the first one's connection is free again.
  expect(connections).toBeLessThanOrEqual(2);
  server.close();
});

const listen = <T extends Server>(server: T): Promise<T> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve(server);
    });
  });
