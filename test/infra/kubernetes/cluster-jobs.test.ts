/** Requests of the adapters to the API server. test/cluster/ has the same with real operators. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KubernetesApi } from '../../../infra/kubernetes/api.ts';
import { parseKubernetesConfig } from '../../../infra/kubernetes/config.ts';
import {
  createProgramJobs,
  createRayJobs,
  createTrainingJobs,
} from '../../../infra/kubernetes/jobs/job-platforms.ts';
import { FakeCluster, refused } from './fake-cluster.ts';

const config = parseKubernetesConfig({
  namespace: 'shelfcast',
  images: { ml: 'ml:1', predictor: 'predictor:1' },
  artifacts: { claim: 'artifacts' },
  serving: { url: 'http://models.example', parentRefs: [{ name: 'gateway' }] },
  jobs: { pendingAfterSeconds: 60 },
});
const JOBS = '/apis/batch/v1/namespaces/shelfcast/jobs';
const MARKS = '/api/v1/namespaces/shelfcast/configmaps';
const PODS = '/api/v1/namespaces/shelfcast/pods';
const LONG_AGO = '2020-01-01T00:00:00Z';
const signal = new AbortController().signal;
const job = { name: 'a', module: 'shelfcast.ingest', args: [] };

let cluster: FakeCluster;
let api: KubernetesApi;
beforeEach(async () => {
  cluster = await FakeCluster.start();
  cluster.kinds.add('batch/v1 Job').add('v1 ConfigMap').add('v1 Pod').add('v1 Event');
  cluster.answers.set(`GET ${PODS}`, () => ({ status: 200, body: { items: [] } }));
  api = new KubernetesApi(cluster.kubeConfig, 'shelfcast');
});
afterEach(() => cluster.stop());

const programs = () => createProgramJobs(api, config);
const object = (status: object = {}, metadata: object = {}) => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'a', creationTimestamp: LONG_AGO, ...metadata },
  spec: {},
  status,
});
const mark = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a-stopped' } };
const asked = (method: string) => cluster.requests.filter((request) => request.startsWith(method));

/** Takes what is created into the cluster. */
function acceptCreations(): void {
  cluster.answers.set(`POST ${JOBS}`, (body) => {
    cluster.put(object());
    return { status: 201, body: body as object };
  });
  cluster.answers.set(`POST ${MARKS}`, (body) => {
    cluster.put(mark);
    return { status: 201, body: body as object };
  });
}

describe('ensure', () => {
  it('creates a job once', async () => {
    acceptCreations();
    await programs().ensure(job, signal);
    await programs().ensure(job, signal);
    expect(asked('POST')).toEqual([`POST ${JOBS}`]);
  });

  it('accepts that another attempt was faster', async () => {
    cluster.answers.set(`POST ${JOBS}`, () => refused(409, 'AlreadyExists', 'jobs.batch "a" already exists'));
    await expect(programs().ensure(job, signal)).resolves.toBeUndefined();
  });

  it('creates no job that was stopped', async () => {
    cluster.put(mark);
    await programs().ensure(job, signal);
    expect(asked('POST')).toEqual([]);
  });

  it('removes a new job that was stopped meanwhile', async () => {
    cluster.answers.set(`POST ${JOBS}`, (body) => {
      cluster.put(object(), mark);
      return { status: 201, body: body as object };
    });
    await programs().ensure(job, signal);
    expect(asked('DELETE')).toEqual([`DELETE ${JOBS}/a`]);
  });

  it('waits for the pods of a job that someone removed', async () => {
    acceptCreations();
    let pods = [{ metadata: { name: 'old' } }];
    cluster.answers.set(`GET ${PODS}`, () => ({ status: 200, body: { items: pods } }));
    const ensured = programs().ensure(job, signal);
    await expect.poll(() => asked(`GET ${PODS}`).length).toBeGreaterThan(1);
    expect(asked('POST')).toEqual([]);
    pods = [];
    await ensured;
    expect(asked('POST')).toEqual([`POST ${JOBS}`]);
  });
});

describe('observe', () => {
  it('reports a missing or deleted job as unknown', async () => {
    expect(await programs().observe('a', signal)).toEqual({
      status: 'unknown',
      message: 'there is no Job a in namespace "shelfcast"',
    });
    cluster.put(object({}, { deletionTimestamp: LONG_AGO }));
    expect(await programs().observe('a', signal)).toMatchObject({ status: 'unknown' });
  });

  it('gives a reason only when a job is pending for long', async () => {
    cluster.put(object({}, { creationTimestamp: new Date().toISOString() }));
    expect(await programs().observe('a', signal)).toEqual({ status: 'pending', message: '' });
    expect(asked(`GET ${PODS}`)).toEqual([]);
  });

  it('reads the events of all objects that create pods, and drops those of an earlier job', async () => {
    cluster.put(object());
    const names: (string | null)[] = [];
    cluster.answers.set('GET /api/v1/namespaces/shelfcast/events', (_, query) => {
      names.push(query.get('fieldSelector'));
      const at = (lastTimestamp: string, message: string) => ({
        type: 'Warning',
        message,
        lastTimestamp,
        involvedObject: { kind: 'Job', name: 'a' },
        metadata: {},
      });
      return {
        status: 200,
        body: { items: [at('2019-12-31T23:59:59Z', 'old'), at(LONG_AGO, 'exceeded quota: small')] },
      };
    });
    expect(await programs().observe('a', signal)).toEqual({
      status: 'pending',
      message: 'Job a: exceeded quota: small',
    });
    expect(names).toEqual(['involvedObject.name=a']);
  });

  it('reports that a job is queued, or suspended by a person', async () => {
    cluster.put({
      ...object({}, { labels: { 'kueue.x-k8s.io/queue-name': 'night' } }),
      spec: { suspend: true },
    });
    expect(await programs().observe('a', signal)).toEqual({
      status: 'pending',
      message: 'queued: Kueue has not admitted it to queue night yet',
    });
    cluster.put({ ...object(), spec: { suspend: true } });
    expect((await programs().observe('a', signal)).message).toMatch(/^someone suspended it/);
  });
});

describe('stop', () => {
  it('removes a job with all that it owns, remembers it, and forgets it when it is released', async () => {
    acceptCreations();
    cluster.put(object());
    await programs().stop('a');
    expect(asked('DELETE')).toEqual([`DELETE ${JOBS}/a`]);
    expect(await programs().observe('a', signal)).toEqual({ status: 'stopped', message: '' });
    await programs().release('a');
    expect(await programs().observe('a', signal)).toMatchObject({ status: 'unknown' });
  });

  it('does not touch a job that has ended', async () => {
    cluster.put(object({ conditions: [{ type: 'Complete', status: 'True' }] }));
    await programs().stop('a');
    expect(asked('DELETE')).toEqual([]);
  });

  it('continues an interrupted attempt: it waits for the last pod', async () => {
    cluster.put(mark);
    let pods = [{ metadata: { name: 'last' } }];
    cluster.answers.set(`GET ${PODS}`, () => ({ status: 200, body: { items: pods } }));
    let isStopped = false;
    const stopped = programs()
      .stop('a')
      .then(() => {
        isStopped = true;
      });
    await expect.poll(() => asked(`GET ${PODS}`).length).toBeGreaterThan(1);
    expect(isStopped).toBe(false);
    pods = [];
    await stopped;
  });

  it('removes the TrainJob first, because Trainer would recreate its JobSet', async () => {
    const path = '/apis/trainer.kubeflow.org/v1alpha1/namespaces/shelfcast/trainjobs/a';
    cluster.kinds.add('jobset.x-k8s.io/v1alpha2 JobSet');
    cluster.put({ ...object(), apiVersion: 'trainer.kubeflow.org/v1alpha1', kind: 'TrainJob' });
    acceptCreations();
    const bodies: unknown[] = [];
    cluster.answers.set(`DELETE ${path}`, (body) => {
      bodies.push(body);
      cluster.drop(path);
      return { status: 200, body: {} };
    });
    await createTrainingJobs(api, config).stop('a');
    expect(bodies).toEqual([{ propagationPolicy: 'Background' }]);
    // From above, each when the one before is gone.
    expect(cluster.requests.filter((request) => /jobsets\/a|jobs\/a-node-0|pods$/.test(request))).toEqual([
      'GET /apis/jobset.x-k8s.io/v1alpha2/namespaces/shelfcast/jobsets/a',
      `GET ${JOBS}/a-node-0`,
      `GET ${PODS}`,
    ]);
  });
});

describe('logs', () => {
  const pod = (name: string, container: string, labels: Record<string, string> = {}, second = 0) => ({
    metadata: { name, labels, creationTimestamp: `2026-01-01T00:00:0${second}Z` },
    spec: { containers: [{ name: container }] },
  });
  const node = (index: number) => ({ 'batch.kubernetes.io/job-completion-index': String(index) });
  function print(logs: Record<string, string>): void {
    cluster.kinds.add('v1 Pod');
    for (const [name, text] of Object.entries(logs)) {
      cluster.answers.set(`GET ${PODS}/${name}/log`, (_, query) => ({
        status: 200,
        body: { text, lines: query.get('tailLines') },
      }));
    }
  }

  it('of a training are those of all its nodes, the first one last, each from its newest pod', async () => {
    const items = [
      pod('old-1', 'node', node(1), 0),
      pod('new-1', 'node', node(1), 1),
      pod('new-0', 'node', node(0), 1),
    ];
    cluster.answers.set(`GET ${PODS}`, () => ({ status: 200, body: { items } }));
    print({ 'new-0': 'zero', 'new-1': 'one' });
    expect(await createTrainingJobs(api, config).logs('a')).toBe(
      '[node 1] {"text":"one","lines":"50"}\n[node 0] {"text":"zero","lines":"50"}',
    );
  });

  it('of a job on Ray are those of the pod that submitted it', async () => {
    const items = [
      pod('head', 'ray'),
      pod('first', 'ray-job-submitter'),
      pod('again', 'ray-job-submitter', {}, 1),
    ];
    cluster.answers.set(`GET ${PODS}`, () => ({ status: 200, body: { items } }));
    print({ again: 'printed' });
    expect(await createRayJobs(api, config).logs('a')).toBe('{"text":"printed","lines":"100"}');
  });
});
