/** Ray clusters as jobs get them: of their own with workers, or one that runs already; and what is left of them. */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRayJobs } from '../../../infra/kubernetes/jobs/job-platforms.ts';
import { rayJob } from '../../../infra/kubernetes/jobs/ray-job.ts';
import type { JobPlatform } from '../../../infra/platform.ts';
import { JOB_MODULES, readLines, writeJobModules } from '../../contract/job-modules.ts';
import type { JobNamespace } from '../contract/job-namespace.ts';
import { makeJobNamespace, SMALL } from '../contract/job-namespace.ts';
import { loadImages } from '../images/images.ts';
import { kubectl } from '../kubectl.ts';

const NODES = `
import sys, time, urllib.error, urllib.request
import ray
ray.init(log_to_driver=False)
@ray.remote(num_cpus=1)
def node():
    time.sleep(1)
    return ray.get_runtime_context().get_node_id()
nodes = set()
while len(nodes) < 2:
    nodes |= set(ray.get([node.remote() for _ in range(2)]))
try:
    stranger = urllib.request.urlopen("http://127.0.0.1:8265/api/jobs/").status
except urllib.error.HTTPError as error:
    stranger = error.code
with open(sys.argv[1], "a") as file:
    file.write(f"{len(nodes)}\\n{stranger}\\n")
`;
const OWN = { head: { resources: SMALL }, workers: 1, worker: { resources: SMALL } };
// Here, since no hook waits long enough for an image that must be built.
const { ml } = await loadImages(['ml']);
const signal = new AbortController().signal;
const newName = () => `ray-${randomUUID().slice(0, 8)}`;
let namespace: JobNamespace;

beforeAll(async () => {
  namespace = await makeJobNamespace(ml);
  writeJobModules(namespace.hostPath(namespace.jobPath('modules')));
  writeFileSync(namespace.hostPath(namespace.jobPath('modules/job_nodes.py')), NODES);
});
afterAll(() => namespace.close());

const raysWith = (cluster: object) =>
  createRayJobs(namespace.api, namespace.config({ features: { cluster } }));
const status = async (jobs: JobPlatform, name: string) => (await jobs.observe(name, signal)).status;
const lines = (path: string) => readLines(namespace.hostPath(path));

it('runs on its own cluster with a worker, and leaves nothing', { timeout: 300_000 }, async () => {
  const jobs = raysWith(OWN);
  const name = newName();
  const file = namespace.jobPath(name);
  await jobs.ensure({ name, module: 'job_nodes', args: [file] }, signal);
  await expect.poll(() => status(jobs, name), { timeout: 240_000, interval: 500 }).toBe('succeeded');
  // Without the cluster's token Ray refuses even a look at its jobs.
  expect(lines(file)).toEqual(['2', '401']);
  await jobs.release(name);
  await expect.poll(left, { timeout: 60_000, interval: 500 }).toBe('');
});

it('reports how a program ended', { timeout: 300_000 }, async () => {
  const jobs = raysWith({ ...OWN, workers: 0 });
  const name = newName();
  await jobs.ensure({ name, module: JOB_MODULES.fails, args: [] }, signal);
  await expect.poll(() => status(jobs, name), { timeout: 240_000, interval: 500 }).toBe('failed');
  const { message } = await jobs.observe(name, signal);
  expect(message).toBe('AppFailed: Job entrypoint command failed with exit code 3');
  expect(await jobs.logs(name)).toContain('about to fail');
});

describe('on an existing cluster', { timeout: 300_000 }, () => {
  const jobs = () => raysWith({ selector: { 'ray.io/cluster': 'shared' } });

  beforeAll(async () => {
    const config = namespace.config({ features: { cluster: { ...OWN, workers: 0 } } });
    const { spec } = rayJob(config, { name: 'shared', module: 'none', args: [] });
    if (!('rayClusterSpec' in spec)) throw new Error('there is no cluster in it');
    await namespace.api.create({
      apiVersion: 'ray.io/v1',
      kind: 'RayCluster',
      metadata: { name: 'shared' },
      spec: spec.rayClusterSpec,
    });
    const ready = ['--for=jsonpath={.status.state}=ready', 'raycluster/shared', '--timeout=200s'];
    await kubectl('-n', namespace.api.namespace, 'wait', ...ready);
  }, 240_000);

  it('runs a job once and shows its log', async () => {
    const name = newName();
    const file = namespace.jobPath(name);
    await jobs().ensure({ name, module: JOB_MODULES.writes, args: [file] }, signal);
    await expect.poll(() => status(jobs(), name), { timeout: 120_000, interval: 500 }).toBe('succeeded');
    expect(lines(file)).toEqual(['started']);
    expect((await jobs().logs(name)).split('\n')).toContain('line 150');
  });

  it('ends a stopped job, and nothing else', async () => {
    const name = newName();
    const file = namespace.jobPath(name);
    await jobs().ensure({ name, module: JOB_MODULES.sleeps, args: [file] }, signal);
    await expect.poll(() => lines(file), { timeout: 120_000 }).toHaveLength(2);
    const [program] = lines(file).map(Number);
    expect(namespace.isAlive(program ?? NaN)).toBe(true);
    await jobs().stop(name);
    expect(await status(jobs(), name)).toBe('stopped');
    // Ray kills what ignores its request to end after 3 s.
    await expect.poll(() => namespace.isAlive(program ?? NaN), { timeout: 15_000 }).toBe(false);
    const state = await kubectl(
      '-n',
      namespace.api.namespace,
      'get',
      'raycluster',
      'shared',
      '-o',
      'jsonpath={.status.state}',
    );
    expect(state).toBe('ready');
  });
});

/** Names of all objects of the namespace that carry our label. */
async function left(): Promise<string> {
  const kinds = 'rayjobs,rayclusters,jobs,pods,services,configmaps,secrets,serviceaccounts,roles';
  const label = 'app.kubernetes.io/managed-by=shelfcast';
  return kubectl('-n', namespace.api.namespace, 'get', kinds, '-l', label, '-o', 'name');
}
