/** The objects that jobs become, whole: a change of them is seen here first. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseKubernetesConfig, readKubernetesConfig } from '../../../infra/kubernetes/config.ts';
import { programJob } from '../../../infra/kubernetes/jobs/program-job.ts';
import { RAY_VERSION, rayJob } from '../../../infra/kubernetes/jobs/ray-job.ts';
import { trainJob } from '../../../infra/kubernetes/jobs/train-job.ts';
import type { JobSpec } from '../../../infra/platform.ts';
import { PROJECT_DIR } from '../../platform.ts';

const configWith = (jobs: object = {}, rest: object = {}) =>
  parseKubernetesConfig({
    namespace: 'forecasts',
    images: { ml: 'registry.example/ml:1', predictor: 'registry.example/predictor:1' },
    artifacts: { claim: 'artifacts' },
    serving: { url: 'http://models.example', parentRefs: [{ name: 'gateway' }] },
    jobs,
    ...rest,
  });

/** All that a person may set. */
const EVERYTHING = configWith(
  {
    serviceAccount: 'jobs',
    nodeSelector: { pool: 'batch' },
    tolerations: [{ key: 'batch', operator: 'Exists' }],
    queue: 'tonight',
    volumes: [{ name: 'certificates', configMap: { name: 'company' } }],
    volumeMounts: [{ name: 'certificates', mountPath: '/etc/company', readOnly: true }],
    features: { cluster: { workers: 2 } },
  },
  {
    images: { ml: 'registry.example/ml:1', predictor: 'p', pullPolicy: 'Always', pullSecrets: ['registry'] },
    environment: { HTTPS_PROXY: 'http://proxy.example' },
    podSecurityContext: { fsGroup: 1_000 },
    secret: 'database',
  },
);

const job = (stage: string, rest: Partial<JobSpec> = {}): JobSpec => ({
  name: `pipeline-sales-0199a1b2-${stage}-1`,
  module: `shelfcast.${stage}`,
  args: ['--dir', `file:///artifacts/runs/pipeline-sales-0199a1b2/${stage}`],
  ...rest,
});

describe('a program', () => {
  it('is a Job of one pod that is tried once', () => {
    expect(programJob(configWith(), job('ingest'))).toMatchSnapshot();
  });

  it('has all that is configured, and waits for its queue', () => {
    expect(programJob(EVERYTHING, job('ingest'))).toMatchSnapshot();
  });

  it('has the Secret of sources and their network only if it is ingest', () => {
    const config = configWith({ ingest: { secret: 'addresses' } });
    const podOf = (stage: string) => programJob(config, job(stage)).spec.template;
    const ingest = podOf('ingest');
    expect(ingest.spec.containers[0]).toMatchObject({ envFrom: [{ secretRef: { name: 'addresses' } }] });
    expect(ingest.metadata.labels).toMatchObject({ 'shelfcast.dev/reads': 'sources' });
    const objects = [podOf('evaluate'), podOf('train'), rayJob(config, job('features'))];
    for (const other of [...objects, trainJob(config, job('train', { trainingProcesses: 2 }))]) {
      expect(JSON.stringify(other)).not.toMatch(/addresses|shelfcast\.dev\/reads/);
    }
  });

  it('runs a training on its one node', () => {
    const { containers } = programJob(configWith(), job('train', { trainingProcesses: 2 })).spec.template
      .spec;
    const launcher = ['python', '-m', 'shelfcast.ranks', '--processes', '2'];
    expect(containers[0]?.command?.slice(0, 5)).toEqual(launcher);
  });
});

describe('a job on Ray', () => {
  it('is a RayJob with its own cluster and a token for its ports', () => {
    expect(rayJob(configWith(), job('features'))).toMatchSnapshot();
  });

  it('has all that is configured, and waits for its queue', () => {
    expect(rayJob(EVERYTHING, job('features'))).toMatchSnapshot();
  });

  it('goes to an existing cluster without waiting for the queue', () => {
    const selector = { 'ray.io/cluster': 'shared' };
    const { metadata, spec } = rayJob(
      configWith({ queue: 'tonight', features: { cluster: { selector } } }),
      job('features'),
    );
    expect(spec).toMatchObject({ clusterSelector: selector, submissionMode: 'K8sJobMode' });
    expect(spec).not.toHaveProperty('rayClusterSpec');
    expect(spec).not.toHaveProperty('suspend');
    expect(metadata.labels).not.toHaveProperty('kueue.x-k8s.io/queue-name');
  });

  it('quotes characters that a shell would interpret', () => {
    const { spec } = rayJob(configWith(), job('features', { args: ["it's", '$HOME', ''] }));
    expect(spec.entrypoint).toMatch(/ -m shelfcast.features 'it'\\''s' '\$HOME' ''$/);
  });

  it('names the version of Ray that the image has', () => {
    const lock = readFileSync(join(PROJECT_DIR, 'ml', 'requirements.lock'), 'utf8');
    expect(lock).toMatch(new RegExp(`^ray(\\[\\S+\\])?==${RAY_VERSION} `, 'm'));
  });
});

describe('a training', () => {
  it('is a TrainJob with a node for each process', () => {
    expect(trainJob(configWith(), job('train', { trainingProcesses: 2 }))).toMatchSnapshot();
  });

  it('has all that is configured, and waits for its queue', () => {
    expect(trainJob(EVERYTHING, job('train', { trainingProcesses: 2 }))).toMatchSnapshot();
  });

  it('takes two nodes with two GPUs each by the preset', () => {
    const preset = readKubernetesConfig(
      join(PROJECT_DIR, 'infra', 'manifests', 'presets', 'two-nodes-two-gpus.yaml'),
    );
    const { trainer } = trainJob(preset, job('train', { trainingProcesses: 4 })).spec;
    expect(trainer).toMatchObject({
      numNodes: 2,
      numProcPerNode: 2,
      resourcesPerNode: { requests: { 'nvidia.com/gpu': '2' }, limits: { 'nvidia.com/gpu': '2' } },
    });
  });

  it('fits fewer processes than a node holds on one node', () => {
    const config = configWith({ training: { processesPerNode: 4 } });
    const { trainer } = trainJob(config, job('train', { trainingProcesses: 2 })).spec;
    expect(trainer).toMatchObject({ numNodes: 1, numProcPerNode: 2 });
  });

  it('refuses processes that leave a node half full', () => {
    const config = configWith({ training: { processesPerNode: 2 } });
    expect(() => trainJob(config, job('train', { trainingProcesses: 3 }))).toThrow(
      expect.objectContaining({
        type: 'InvalidInput',
        nonRetryable: true,
        message: expect.stringContaining('3 processes cannot fill nodes of 2 evenly') as string,
      }) as Error,
    );
  });
});
