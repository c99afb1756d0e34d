/** Messages about jobs that do not start, and failures that a job survives, with the real operators. */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createProgramJobs,
  createRayJobs,
  createTrainingJobs,
} from '../../../infra/kubernetes/jobs/job-platforms.ts';
import type { JobPlatform } from '../../../infra/platform.ts';
import { JOB_MODULES, readLines, writeJobModules } from '../../contract/job-modules.ts';
import type { JobNamespace } from '../contract/job-namespace.ts';
import { makeJobNamespace, SMALL } from '../contract/job-namespace.ts';
import { loadImages } from '../images/images.ts';
import { kubectl, kubectlWith } from '../kubectl.ts';

// Here, since no hook waits long enough for an image that must be built.
const { ml } = await loadImages(['ml']);
const signal = new AbortController().signal;
const newName = () => `trouble-${randomUUID().slice(0, 8)}`;
let namespace: JobNamespace;

beforeAll(async () => {
  namespace = await makeJobNamespace(ml);
  writeJobModules(namespace.hostPath(namespace.jobPath('modules')));
});
afterAll(() => namespace.close());

const inNamespace = (...args: string[]) => kubectl('-n', namespace.api.namespace, ...args);

/** Starts the job and returns the first message that it gives. */
async function messageOf(jobs: JobPlatform, trainingProcesses?: number): Promise<string> {
  const job = { name: newName(), module: JOB_MODULES.writes, args: [namespace.jobPath(newName())] };
  await jobs.ensure({ ...job, ...(trainingProcesses === undefined ? {} : { trainingProcesses }) }, signal);
  try {
    for (;;) {
      const { status, message } = await jobs.observe(job.name, signal);
      if (message !== '') return `${status}: ${message}`;
      await sleep(500);
    }
  } finally {
    await jobs.release(job.name);
  }
}

describe('the message of a job that does not start', { timeout: 120_000 }, () => {
  const soon = { pendingAfterSeconds: 2 };
  const programs = (jobs: Record<string, unknown> = {}, rest: Record<string, unknown> = {}) =>
    createProgramJobs(
      namespace.api,
      namespace.config({ ...soon, programs: { resources: SMALL }, ...jobs }, rest),
    );

  it('reports a missing GPU', async () => {
    const training = { gpusPerNode: 1, resources: SMALL };
    const jobs = createTrainingJobs(namespace.api, namespace.config({ ...soon, training }));
    expect(await messageOf(jobs, 2)).toMatch(
      /^pending: no node takes pod trouble-\S+: no node has the GPUs that it requests \(1 nvidia.com\/gpu\): .*Insufficient nvidia.com\/gpu$/,
    );
  });

  it('reports too little CPU', async () => {
    const resources = { requests: { cpu: '1000' } };
    expect(await messageOf(programs({ programs: { resources } }))).toMatch(
      /^pending: no node takes pod trouble-\S+: .*Insufficient cpu$/,
    );
  });

  it('names the head of a Ray cluster that fits on no node', async () => {
    const head = { resources: { requests: { memory: '10Ti' } } };
    const features = { cluster: { head, workers: 0 } };
    const jobs = createRayJobs(namespace.api, namespace.config({ ...soon, features }));
    expect(await messageOf(jobs)).toMatch(
      /^pending: no node takes pod trouble-\S+-head-\S+: .*Insufficient memory$/,
    );
  });

  it('names an image that cannot be pulled', async () => {
    const images = { ml: 'localhost/no-such-image:1', predictor: 'none', pullPolicy: 'Never' };
    expect(await messageOf(programs({}, { images }))).toMatch(
      /^pending: the image localhost\/no-such-image:1 of pod trouble-\S+ is not available \(ErrImageNeverPull\)/,
    );
  });

  it('names a volume claim that is missing or not bound', async () => {
    expect(await messageOf(programs({}, { artifacts: { claim: 'missing' } }))).toMatch(
      /^pending: no node takes pod trouble-\S+: .*persistentvolumeclaim "missing" not found$/,
    );
    const unbound = {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'unbound' },
      spec: {
        accessModes: ['ReadWriteMany'],
        storageClassName: 'nowhere',
        resources: { requests: { storage: '1Gi' } },
      },
    };
    await kubectlWith(JSON.stringify(unbound), '-n', namespace.api.namespace, 'apply', '-f', '-');
    expect(await messageOf(programs({}, { artifacts: { claim: 'unbound' } }))).toMatch(
      /^pending: pod trouble-\S+ waits for its volume claim unbound to be bound: .*"nowhere" not found$/,
    );
  });

  it('names a missing Secret', async () => {
    expect(await messageOf(programs({}, { secret: 'missing' }))).toMatch(
      /^pending: container job of pod trouble-\S+ does not start \(CreateContainerConfigError\): secret "missing" not found$/,
    );
  });

  it('names a quota, for each kind of job', async () => {
    await inNamespace('create', 'quota', 'none', '--hard=requests.cpu=1m');
    const config = namespace.config({
      ...soon,
      programs: { resources: SMALL },
      training: { resources: SMALL },
      features: { cluster: { head: { resources: SMALL }, workers: 0 } },
    });
    for (const create of [createProgramJobs, createTrainingJobs, createRayJobs]) {
      expect(await messageOf(create(namespace.api, config))).toMatch(
        /^pending: \S+ trouble-\S+: .*exceeded quota: none/,
      );
    }
    await inNamespace('delete', 'quota', 'none');
  });

  it('names a queue that does not admit the job', async () => {
    const config = namespace.config({ queue: 'tonight' });
    for (const create of [createProgramJobs, createTrainingJobs, createRayJobs]) {
      expect(await messageOf(create(namespace.api, config))).toBe(
        'pending: queued: Kueue has not admitted it to queue tonight yet',
      );
    }
  });
});

describe('the end of a job', { timeout: 180_000 }, () => {
  it('is reported with the exit code and the message of the operator', async () => {
    const config = namespace.config({ programs: { resources: SMALL }, training: { resources: SMALL } });
    for (const [create, container] of [
      [createProgramJobs, 'job'],
      [createTrainingJobs, 'node'],
    ] as const) {
      const jobs = create(namespace.api, config);
      const name = newName();
      await jobs.ensure({ name, module: JOB_MODULES.fails, args: [] }, signal);
      await expect
        .poll(() => jobs.observe(name, signal), { timeout: 60_000, interval: 500 })
        .toMatchObject({ status: 'failed' });
      const { message } = await jobs.observe(name, signal);
      expect(message).toMatch(
        new RegExp(`^container ${container} of pod ${name}\\S* ended with exit code 3; \\w+: `),
      );
    }
  });

  it('is final for a RayJob that KubeRay refuses', async () => {
    const jobs = createRayJobs(namespace.api, namespace.config());
    const name = newName();
    const refused = {
      apiVersion: 'ray.io/v1',
      kind: 'RayJob',
      metadata: { name },
      spec: {
        suspend: true,
        entrypoint: 'true',
        rayClusterSpec: { headGroupSpec: { template: { spec: { containers: [{ name: 'ray' }] } } } },
      },
    };
    await namespace.api.create(refused);
    await expect
      .poll(() => jobs.observe(name, signal), { timeout: 30_000 })
      .toMatchObject({
        status: 'failed',
        message: expect.stringMatching(/^ValidationFailed: .*is not allowed to be suspended$/) as string,
      });
    await jobs.release(name);
  });
});

describe('a training of two nodes', { timeout: 180_000 }, () => {
  const RESUMES = `
import os, sys, time
import torch.distributed as dist
dist.init_process_group("gloo")
rank = dist.get_rank()
with open(f"{sys.argv[1]}-{rank}", "a") as file:
    file.write(f"{dist.get_world_size()}\\n")
print(f"rank {rank} of {dist.get_world_size()}", flush=True)
while not os.path.exists(sys.argv[1] + "-go"):
    dist.barrier()
    time.sleep(0.2)
dist.destroy_process_group()
`;
  let jobs: JobPlatform;
  beforeAll(() => {
    writeFileSync(namespace.hostPath(namespace.jobPath('modules/job_resumes.py')), RESUMES);
    jobs = createTrainingJobs(namespace.api, namespace.config({ training: { resources: SMALL } }));
  });

  const starts = (file: string, rank: number) => readLines(namespace.hostPath(`${file}-${rank}`));
  async function start(name: string, file: string): Promise<void> {
    await jobs.ensure({ name, module: 'job_resumes', args: [file], trainingProcesses: 2 }, signal);
    await expect
      .poll(() => [0, 1].map((rank) => starts(file, rank)), { timeout: 60_000 })
      .toEqual([['2'], ['2']]);
  }

  it('restarts all nodes when one pod is deleted, and succeeds', async () => {
    const name = newName();
    const file = namespace.jobPath(name);
    await start(name, file);
    const pod = await inNamespace(
      'get',
      'pods',
      '-l',
      `shelfcast.dev/job=${name}`,
      '-o',
      'jsonpath={.items[1].metadata.name}',
    );
    await inNamespace('delete', 'pod', pod, '--wait=false');
    await expect
      .poll(() => [0, 1].map((rank) => starts(file, rank).length), { timeout: 90_000 })
      .toEqual([2, 2]);
    await expect
      .poll(() => jobs.observe(name, signal), { timeout: 10_000 })
      .toMatchObject({ status: 'running' });
    writeFileSync(namespace.hostPath(`${file}-go`), '');
    await expect
      .poll(() => jobs.observe(name, signal), { timeout: 30_000 })
      .toMatchObject({ status: 'succeeded' });
    const log = await jobs.logs(name);
    expect(log).toContain('[node 0] rank 0 of 2');
    expect(log.indexOf('[node 1] rank 1 of 2')).toBeLessThan(log.indexOf('[node 0] rank 0 of 2'));
    await jobs.release(name);
  });

  it('is unknown when someone deletes it, and created again only when its pods are gone', async () => {
    const name = newName();
    const file = namespace.jobPath(name);
    await start(name, file);
    await inNamespace('delete', 'trainjob', name, '--wait=false');
    await expect.poll(() => jobs.observe(name, signal)).toMatchObject({ status: 'unknown' });
    const old = await podUids(name);
    await jobs.ensure({ name, module: 'job_resumes', args: [file], trainingProcesses: 2 }, signal);
    await expect.poll(() => podUids(name), { timeout: 30_000 }).toHaveLength(2);
    expect((await podUids(name)).filter((uid) => old.includes(uid))).toEqual([]);
    await jobs.stop(name);
    expect(await podUids(name)).toEqual([]);
    await jobs.ensure({ name, module: 'job_resumes', args: [file], trainingProcesses: 2 }, signal);
    expect(await jobs.observe(name, signal)).toMatchObject({ status: 'stopped' });
    await jobs.release(name);
    await expect.poll(() => jobs.observe(name, signal)).toMatchObject({ status: 'unknown' });
  });

  const podUids = async (name: string): Promise<string[]> => {
    const path = 'jsonpath={range .items[*]}{.metadata.uid}{"\\n"}{end}';
    const uids = await inNamespace('get', 'pods', '-l', `shelfcast.dev/job=${name}`, '-o', path);
    return uids.split('\n').filter((uid) => uid !== '');
  };
});
