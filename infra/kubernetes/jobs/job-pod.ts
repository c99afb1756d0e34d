/** The parts of a job's pod: what is mounted, what the program finds in its environment, what the pod may do. */
import { JOB_VARIABLE } from '../../job-command.ts';
import type { KubernetesConfig } from '../config.ts';
import { placement } from '../placement.ts';
import { CONTAINER_SECURITY, POD_SECURITY } from '../pod-security.ts';
import type { Resources } from '../resources.ts';

/** A stopped job has nothing to save: its results count only when they are whole. Python as a container's first process ignores SIGTERM. */
const GRACE_SECONDS = 5;

/** What the program finds in its environment. A variable of the configuration takes the place of one of these, never of the Secret's. */
export function jobEnvironment(config: KubernetesConfig, job: string, more: Record<string, string> = {}) {
  const plain = {
    HOME: '/tmp',
    PYTHONUNBUFFERED: '1',
    // The same data give the same bytes wherever a stage runs.
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
  /** Absent: an operator's own. */
  command?: string[];
  env: object[];
  resources: Resources;
  /** Size of /dev/shm, e.g. `256Mi`; it counts as the container's memory. */
  sharedMemory?: string;
}

/** The whole specification of a pod with one container. */
export function jobPodSpec(config: KubernetesConfig, container: JobContainer) {
  const { volumes, volumeMounts } = configuredVolumes(config);
  const { name, command, env, resources, sharedMemory } = container;
  return {
    ...placement(config, config.jobs),
    automountServiceAccountToken: false,
    // Variables for each Service of the namespace could be taken for this project's own.
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
