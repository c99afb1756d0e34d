/** The parts of a job's pod: volumes, environment and security context. */
import { JOB_VARIABLE } from '../../job-command.ts';
import type { KubernetesConfig } from '../config.ts';
import { placement } from '../placement.ts';
import { CONTAINER_SECURITY, POD_SECURITY } from '../pod-security.ts';
import type { Resources } from '../resources.ts';

/** Short, because a stopped job has nothing to save, and Python as a container's first process ignores SIGTERM. */
const GRACE_SECONDS = 5;

/** Environment of the program. The configuration may override these variables, but not those from the Secret. */
export function jobEnvironment(config: KubernetesConfig, job: string, more: Record<string, string> = {}) {
  const plain = {
    HOME: '/tmp',
    PYTHONUNBUFFERED: '1',
    // With one thread the same data give the same bytes on every machine.
    OMP_NUM_THREADS: '1',
    OPENBLAS_NUM_THREADS: '1',
    MKL_NUM_THREADS: '1',
    ...more,
    ...config.environment,
    [JOB_VARIABLE]: job,
  };
  const secret = { secretKeyRef: { name: config.secret, key: 'DATABASE_URL' } };
  return [
    ...Object.entries(plain)
      .filter(([name]) => name !== 'DATABASE_URL')
      .map(([name, value]) => ({ name, value })),
    { name: 'DATABASE_URL', valueFrom: secret },
  ];
}

/** Volumes that differ between installations. */
export function configuredVolumes({ artifacts, jobs }: KubernetesConfig) {
  return {
    volumes: [{ name: 'artifacts', persistentVolumeClaim: { claimName: artifacts.claim } }, ...jobs.volumes],
    volumeMounts: [{ name: 'artifacts', mountPath: artifacts.mountPath }, ...jobs.volumeMounts],
  };
}

interface JobContainer {
  name: string;
  /** Command of the container; chosen by the operator when absent. */
  command?: string[];
  env: object[];
  /** Secret whose keys are variables, too; a variable of `env` counts instead. */
  secret?: string | undefined;
  resources: Resources;
  /** Size of /dev/shm, e.g. `256Mi`; counts as memory of the container. */
  sharedMemory?: string;
}

/** Specification of a pod with one container. */
export function jobPodSpec(config: KubernetesConfig, container: JobContainer) {
  const { volumes, volumeMounts } = configuredVolumes(config);
  const { name, command, env, secret, resources, sharedMemory } = container;
  return {
    ...placement(config, config.jobs),
    automountServiceAccountToken: false,
    // Kubernetes' variables for each Service of the namespace could collide with this project's.
    enableServiceLinks: false,
    terminationGracePeriodSeconds: GRACE_SECONDS,
    securityContext: { ...POD_SECURITY, ...config.podSecurityContext },
    containers: [
      {
        name,
        image: config.images.ml,
        imagePullPolicy: config.images.pullPolicy,
        ...(command === undefined ? {} : { command }),
        env,
        ...(secret === undefined ? {} : { envFrom: [{ secretRef: { name: secret } }] }),
        resources,
        securityContext: CONTAINER_SECURITY,
        volumeMounts: [
          { name: 'tmp', mountPath: '/tmp' },
          ...(sharedMemory === undefined ? [] : [{ name: 'shm', mountPath: '/dev/shm' }]),
          ...volumeMounts,
        ],
      },
    ],
    volumes: [
      { name: 'tmp', emptyDir: {} },
      ...(sharedMemory === undefined
        ? []
        : [{ name: 'shm', emptyDir: { medium: 'Memory', sizeLimit: sharedMemory } }]),
      ...volumes,
    ],
  };
}
