/** With the rights of infra/manifests/base/worker-rights.yaml the adapters can do all that they do, and nothing else can be done. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KubernetesApi } from '../../../infra/kubernetes/api.ts';
import type { KubernetesConfig } from '../../../infra/kubernetes/config.ts';
import { parseKubernetesConfig } from '../../../infra/kubernetes/config.ts';
import { loadKubeConfig } from '../../../infra/kubernetes/connection.ts';
import {
  createProgramJobs,
  createRayJobs,
  createTrainingJobs,
} from '../../../infra/kubernetes/jobs/job-platforms.ts';
import { KubernetesServing } from '../../../infra/kubernetes/serving/serving.ts';
import type { JobPlatform } from '../../../infra/platform.ts';
import { MANIFESTS } from '../../infra/manifests/render.ts';
import { GATEWAY_URL } from '../dev-cluster.ts';
import { kubectl, objectsIn } from '../kubectl.ts';

const namespace = `rights-${randomBytes(3).toString('hex')}`;
const { signal } = new AbortController();
/** No pod of it starts, and none needs to. */
const IMAGE = 'localhost/no-such-image:1';

let api: KubernetesApi;
let config: KubernetesConfig;
let asWorker: string[];
let installed: string[];

beforeAll(async () => {
  await kubectl('create', 'namespace', namespace);
  const apply = (file: string) =>
    kubectl('apply', '--server-side', '--namespace', namespace, '--filename', join(MANIFESTS, 'base', file));
  await Promise.all(
    ['worker-rights.yaml', 'serving-runtime.yaml', 'training-runtime.yaml', 'artifacts.yaml'].map(apply),
  );
  installed = await objectsIn(namespace);
  const token = await kubectl('create', 'token', 'shelfcast-worker', '--namespace', namespace);
  api = new KubernetesApi(kubeConfigWith(token), namespace);
  asWorker = [`--as=system:serviceaccount:${namespace}:shelfcast-worker`, '--namespace', namespace];
  config = parseKubernetesConfig({
    namespace,
    images: { ml: IMAGE, predictor: IMAGE, pullPolicy: 'Never' },
    artifacts: { claim: 'shelfcast-artifacts' },
    jobs: { pendingAfterSeconds: 1 },
    serving: {
      url: GATEWAY_URL,
      parentRefs: [{ name: 'kserve-ingress-gateway', namespace: 'kserve' }],
      autoscaling: { by: 'cpu', maxReplicas: 2 },
      drainSeconds: 0,
    },
  });
});
afterAll(() => kubectl('delete', 'namespace', namespace));

function kubeConfigWith(token: string): KubeConfig {
  const cluster = loadKubeConfig().getCurrentCluster();
  if (cluster === null) throw new Error('the kubeconfig names no cluster');
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromClusterAndUser(cluster, { name: 'worker', token });
  return kubeConfig;
}

describe('a worker with its Role', () => {
  const platforms: [string, () => JobPlatform][] = [
    ['programs', () => createProgramJobs(api, config)],
    ['Ray jobs', () => createRayJobs(api, config)],
    ['trainings', () => createTrainingJobs(api, config)],
  ];
  it.each(platforms)('runs, watches, stops and releases %s', async (_, create) => {
    const jobs = create();
    const job = { name: `rights-${randomBytes(3).toString('hex')}`, module: 'none', args: [] };
    await jobs.ensure(job, signal);
    // Why it does not run takes pods and events.
    await expect
      .poll(async () => (await jobs.observe(job.name, signal)).message, { timeout: 60_000, interval: 500 })
      .toMatch(/no-such-image|waits/);
    expect(await jobs.logs(job.name)).toBe('');
    await jobs.stop(job.name);
    expect((await jobs.observe(job.name, signal)).status).toBe('stopped');
    await jobs.release(job.name);
    // Kubernetes takes a moment to remove it.
    await expect
      .poll(async () => (await jobs.observe(job.name, signal)).status, { timeout: 60_000 })
      .toBe('unknown');
  });

  it('serves and removes versions', async () => {
    const serving = new KubernetesServing(api, config);
    const served = {
      modelName: 'rights',
      version: 1,
      modelUri: 'file:///artifacts/run/model',
      modelHash: 'a'.repeat(64),
    };
    await serving.ensureVersion(served, signal);
    await expect
      .poll(async () => (await serving.observe('rights'))[0]?.message, { timeout: 60_000, interval: 500 })
      .toMatch(/no-such-image/);
    await serving.removeVersion('rights', 1);
    expect(await serving.observe('rights')).toEqual([]);
  });

  it('leaves nothing behind', async () => {
    await expect.poll(() => objectsIn(namespace), { timeout: 60_000, interval: 500 }).toEqual(installed);
  });

  it.each([
    ['get', 'secrets'],
    ['list', 'secrets'],
    ['create', 'pods'],
    ['delete', 'pods'],
    ['create', 'pods/exec'],
    ['create', 'roles.rbac.authorization.k8s.io'],
    ['patch', 'deployments.apps'],
    ['update', 'configmaps'],
    ['list', 'configmaps'],
    ['patch', 'jobs.batch'],
    ['create', 'serviceaccounts/token'],
  ])('may not %s %s', async (verb, resource) => {
    await expect(kubectl('auth', 'can-i', verb, resource, ...asWorker)).rejects.toThrow(/no/);
  });

  it('may do nothing in other namespaces', async () => {
    const [account = ''] = asWorker;
    await expect(kubectl('auth', 'can-i', 'list', 'pods', account, '--namespace', 'kserve')).rejects.toThrow(
      /no/,
    );
    await expect(kubectl('auth', 'can-i', 'get', 'nodes', account)).rejects.toThrow(/no/);
  });
});
