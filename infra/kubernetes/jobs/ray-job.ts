/** A job that uses a Ray cluster, as a RayJob of KubeRay: on its own cluster or on an existing one. */
import { JOB_VARIABLE, pythonCommand, shellQuote } from '../../job-command.ts';
import type { JobSpec } from '../../platform.ts';
import type { KubernetesConfig } from '../config.ts';
import { jobMetadata, jobObjectName, jobPodLabels } from './job-object.ts';
import { jobEnvironment, jobPodSpec } from './job-pod.ts';
import type { Resources } from '../resources.ts';

/** Ray's version in ml/requirements.lock; KubeRay needs it to enable token authentication. */
export const RAY_VERSION = '2.60.0';
/** KubeRay's name for the container that submits the job and prints its log. */
export const SUBMITTER_CONTAINER = 'ray-job-submitter';
/** Bytes of shared memory for Ray's objects: a table of 65,520 rows takes a tenth of it. */
const OBJECT_STORE_BYTES = 200_000_000;
const SHARED_MEMORY = '256Mi';
const SUBMITTER_RESOURCES: Resources = {
  requests: { cpu: '100m', memory: '256Mi' },
  limits: { memory: '512Mi' },
};

export function rayJob(config: KubernetesConfig, job: JobSpec) {
  const { cluster } = config.jobs.features;
  // An existing cluster was admitted before, and KubeRay cannot suspend jobs on it.
  const queue = 'selector' in cluster ? undefined : config.jobs.queue;
  return {
    apiVersion: 'ray.io/v1',
    kind: 'RayJob',
    metadata: jobMetadata(job.name, config.namespace, queue),
    spec: {
      ...(queue === undefined ? {} : { suspend: true }),
      jobId: jobObjectName(job.name),
      entrypoint: entrypoint(job),
      backoffLimit: 0,
      // A separate pod prints the job's log and outlives the cluster. KubeRay's sidecar would end with the cluster, and lacks the
      // security context that the restricted pod security standard demands.
      submissionMode: 'K8sJobMode',
      submitterPodTemplate: submitter(config, job),
      ...('selector' in cluster
        ? { clusterSelector: cluster.selector }
        : { shutdownAfterJobFinishes: true, rayClusterSpec: rayCluster(config, job.name, cluster) }),
    },
  };
}

/** Command line, quoted for the submitter's shell; Ray quotes the words again for the shell on the head. */
function entrypoint(job: JobSpec): string {
  const command = ['exec', 'env', `${JOB_VARIABLE}=${job.name}`, ...pythonCommand('python', job)];
  return command.map(shellQuote).join(' ');
}

function submitter(config: KubernetesConfig, job: JobSpec) {
  const environment = { HOME: '/tmp', ...config.environment };
  const container = {
    name: SUBMITTER_CONTAINER,
    env: Object.entries(environment).map(([name, value]) => ({ name, value })),
    resources: SUBMITTER_RESOURCES,
  };
  return {
    metadata: { labels: jobPodLabels(job.name) },
    spec: { restartPolicy: 'Never', ...jobPodSpec(config, container) },
  };
}

type OwnCluster = Exclude<KubernetesConfig['jobs']['features']['cluster'], { selector: unknown }>;

function rayCluster(config: KubernetesConfig, job: string, { head, workers, worker }: OwnCluster) {
  const rayStartParams = { 'object-store-memory': String(OBJECT_STORE_BYTES) };
  return {
    rayVersion: RAY_VERSION,
    // An open port of Ray lets anyone run code. KubeRay creates the token as a Secret of the cluster.
    authOptions: { mode: 'token' },
    headGroupSpec: { rayStartParams, template: rayPod(config, job, head.resources) },
    ...(workers === 0
      ? {}
      : {
          workerGroupSpecs: [
            {
              groupName: 'workers',
              replicas: workers,
              minReplicas: workers,
              maxReplicas: workers,
              rayStartParams,
              template: rayPod(config, job, worker.resources),
            },
          ],
        }),
  };
}

const RAY_ENVIRONMENT = {
  // Prestarted idle workers take 100 MB each, and CPU time while the cluster starts.
  RAY_num_prestart_python_workers: '0',
  RAY_prestart_worker_first_driver: '0',
  RAY_USAGE_STATS_ENABLED: '0',
};

function rayPod(config: KubernetesConfig, job: string, resources: Resources) {
  const env = jobEnvironment(config, job, RAY_ENVIRONMENT);
  return {
    metadata: { labels: jobPodLabels(job) },
    spec: jobPodSpec(config, { name: 'ray', env, resources, sharedMemory: SHARED_MEMORY }),
  };
}
