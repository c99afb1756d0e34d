/** A namespace with all that jobs need: the volume for artifacts, the Secret, the training runtime. */
import { randomUUID } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadKubeConfig } from '../../../infra/kubernetes/connection.ts';
import type { KubernetesConfig } from '../../../infra/kubernetes/config.ts';
import { parseKubernetesConfig } from '../../../infra/kubernetes/config.ts';
import { KubernetesApi } from '../../../infra/kubernetes/api.ts';
import { PROJECT_DIR } from '../../platform.ts';
import { kubectl, kubectlWith } from '../kubectl.ts';

const CLAIM = 'artifacts';
const MOUNT_PATH = '/artifacts';
/** Environment variable of every process that jobs of one namespace start. */
const RUN_VARIABLE = 'SHELFCAST_TEST_RUN';
const RUNTIME_FILE = join(PROJECT_DIR, 'infra', 'manifests', 'base', 'training-runtime.yaml');

/** The machine has two cores: what a pod asks for must not keep others from starting. */
export const SMALL = { requests: { cpu: '100m', memory: '256Mi' }, limits: { memory: '3Gi' } };

export interface JobNamespace {
  api: KubernetesApi;
  /** @param jobs The configuration's section of that name. */
  config: (jobs?: object, rest?: object) => KubernetesConfig;
  /** Path on this machine of a path in jobs. */
  hostPath: (path: string) => string;
  /** Path in jobs of a name in the volume. */
  jobPath: (name: string) => string;
  /** Whether a process that a job knew by this id lives. */
  isAlive: (pid: number) => boolean;
  close: () => Promise<void>;
}

/** @param image That of the jobs. */
export async function makeJobNamespace(image: string): Promise<JobNamespace> {
  const namespace = `jobs-${randomUUID().slice(0, 8)}`;
  await kubectl('create', 'namespace', namespace);
  // Every pod must work under the strictest standard.
  await kubectl('label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted');
  await kubectl('apply', '--server-side', '--force-conflicts', '-f', RUNTIME_FILE);
  const secret = [
    'create',
    'secret',
    'generic',
    'shelfcast',
    '--from-literal=DATABASE_URL=postgresql://nobody@nowhere/none',
  ];
  await kubectl('-n', namespace, ...secret);
  const directory = await makeVolume(namespace);
  return {
    api: new KubernetesApi(loadKubeConfig(), namespace),
    config: (jobs = {}, rest = {}) =>
      parseKubernetesConfig({
        namespace,
        images: { ml: image, predictor: image },
        artifacts: { claim: CLAIM, mountPath: MOUNT_PATH },
        environment: { PYTHONPATH: `${MOUNT_PATH}/modules`, [RUN_VARIABLE]: namespace },
        jobs,
        serving: { url: 'http://gateway.example', parentRefs: [{ name: 'gateway' }] },
        ...rest,
      }),
    hostPath: (path) => path.replace(MOUNT_PATH, directory),
    jobPath: (name) => `${MOUNT_PATH}/${name}`,
    isAlive: (pid) =>
      processes().some((process) => isOf(process, namespace) && pidInContainer(process) === pid),
    close: async () => {
      await kubectl('delete', 'namespace', namespace, '--timeout=120s');
    },
  };
}

/** Returns the volume's directory on this machine. */
async function makeVolume(namespace: string): Promise<string> {
  const claim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: CLAIM },
    spec: { accessModes: ['ReadWriteMany'], resources: { requests: { storage: '1Gi' } } },
  };
  await kubectlWith(JSON.stringify(claim), '-n', namespace, 'apply', '-f', '-');
  const bound = ['--for=jsonpath={.status.phase}=Bound', `pvc/${CLAIM}`, '--timeout=60s'];
  await kubectl('-n', namespace, 'wait', ...bound);
  const volume = await kubectl('-n', namespace, 'get', 'pvc', CLAIM, '-o', 'jsonpath={.spec.volumeName}');
  const directory = await kubectl('get', 'pv', volume, '-o', 'jsonpath={.spec.hostPath.path}');
  if (!existsSync(directory)) {
    throw new Error(
      `the volume ${volume} is no directory of this machine ("${directory}"), so that these tests cannot read what jobs write: ` +
        'they run on the dev cluster',
    );
  }
  // Jobs run as the user of their image.
  chmodSync(directory, 0o777);
  return directory;
}

const processes = (): string[] =>
  readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((pid) => `/proc/${pid}`);

function isOf(process: string, namespace: string): boolean {
  return textOf(`${process}/environ`).split('\0').includes(`${RUN_VARIABLE}=${namespace}`);
}

/** NSpid lists the ids from the outermost namespace to the process' own. A zombie is dead. */
function pidInContainer(process: string): number | null {
  const status = textOf(`${process}/status`);
  if (/^State:\s+Z/m.test(status)) return null;
  return Number(/^NSpid:.*\s(\d+)$/m.exec(status)?.[1] ?? NaN);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // ended meanwhile
  }
}
