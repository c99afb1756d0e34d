/** Fixture of the serving tests on the dev cluster, in its own namespace: artifacts, models, features, the runtime. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadYaml } from '@kubernetes/client-node';
import { processesWithVariable } from '../../../infra/local/processes.ts';
import type { KubernetesObject } from '../../../infra/kubernetes/api.ts';
import { KubernetesApi } from '../../../infra/kubernetes/api.ts';
import type { KubernetesConfig } from '../../../infra/kubernetes/config.ts';
import { parseKubernetesConfig } from '../../../infra/kubernetes/config.ts';
import { loadKubeConfig } from '../../../infra/kubernetes/connection.ts';
import { KubernetesServing } from '../../../infra/kubernetes/serving/serving.ts';
import type { Pod } from '../../../infra/kubernetes/pod-trouble.ts';
import { SERVICE_LABEL, versionName } from '../../../infra/kubernetes/serving/serving-names.ts';
import type { ServedVersion } from '../../../infra/platform.ts';
import { PROJECT_DIR } from '../../platform.ts';
import { eventually, removeFolder, scratchFolder, startFeatureDatabase } from '../../predictor/processes.ts';
import { modelHash, writeModels } from '../../predictor/python.ts';
import { HOST_ADDRESS } from '../dev-cluster.ts';
import { loadImages } from '../images/images.ts';
import { objectsIn } from '../kubectl.ts';
import { forwardTo } from './forwarder.ts';
import { gatewayHost } from './gateway-names.ts';

export const MODEL = 'sales-forecast';
/** Pods share the machine with the control plane and all operators. */
const READY_WITHIN_MS = 120_000;
const CLAIM = 'artifacts';
const SECRET = 'shelfcast';

export interface ServingLab {
  namespace: string;
  api: KubernetesApi;
  config: KubernetesConfig;
  serving: KubernetesServing;
  /** Another adapter, as another worker would make it. */
  another: () => KubernetesServing;
  /** The same with another configuration. */
  withConfig: (config: KubernetesConfig) => KubernetesServing;
  served(version: number): Promise<ServedVersion>;
  /** Makes the version served and waits until it is ready. */
  deploy(version: number): Promise<void>;
  /** Folder on this machine that is the root of the artifacts' volume. */
  artifactsFolder: string;
  /** Ids, on this machine, of the processes that serve the version. */
  processes(version: number): number[];
  /** Waits until exactly this many pods of the version are ready, and none is ending; returns their names. */
  readyPods(version: number, count: number): Promise<string[]>;
  /** `kind/name` of every object that is in the namespace and was not when the lab was ready. */
  leftovers(): Promise<string[]>;
  close(): Promise<void>;
}

/**
 * @param offsets of the versions 1, 2, ...: what tells their forecasts apart (test/predictor/write_model.py)
 * @param differs from the plainest configuration of serving
 */
export async function startServingLab(offsets: readonly number[], differs: object = {}): Promise<ServingLab> {
  const { predictor } = await loadImages(['predictor']);
  const namespace = `serving-${randomBytes(3).toString('hex')}`;
  const api = new KubernetesApi(loadKubeConfig(), namespace);
  await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const folder = await scratchFolder();
  const [database, artifactsFolder] = await Promise.all([startFeatureDatabase(folder), claimFolder(api)]);
  const forwarder = await forwardTo(Number(new URL(database.url).port), HOST_ADDRESS);
  const databaseUrl = new URL(database.url);
  databaseUrl.host = `${HOST_ADDRESS}:${forwarder.port}`;
  const models = join(artifactsFolder, 'models');
  await Promise.all([
    writeModels(models, offsets),
    api.create({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: SECRET },
      stringData: { DATABASE_URL: databaseUrl.href },
    }),
    api.create(readManifest('infra/manifests/base/serving-runtime.yaml')),
  ]);
  const host = gatewayHost(namespace);
  const config = parseKubernetesConfig({
    namespace,
    images: { ml: 'unused', predictor, pullPolicy: 'IfNotPresent' },
    artifacts: { claim: CLAIM },
    secret: SECRET,
    serving: {
      url: `http://${host}`,
      hostnames: [host],
      parentRefs: [{ name: 'kserve-ingress-gateway', namespace: 'kserve' }],
      resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { cpu: '1', memory: '512Mi' } },
      // The gateway takes an end over within two seconds.
      drainSeconds: 5,
      ...differs,
    },
  });
  const open = () => new KubernetesServing(api, config);
  const own = new Set(await objectsIn(namespace));
  const serving = open();
  const served = async (version: number): Promise<ServedVersion> => ({
    modelName: MODEL,
    version,
    modelUri: `file://${config.artifacts.mountPath}/models/${version}`,
    modelHash: await modelHash(join(models, String(version))),
  });
  return {
    namespace,
    api,
    config,
    artifactsFolder,
    serving,
    another: open,
    withConfig: (changed) => new KubernetesServing(api, changed),
    readyPods: (version, count) =>
      eventually(
        `${count} pods of version ${version}`,
        async () => {
          const pods = await api.list<Pod>('v1', 'Pod', `${SERVICE_LABEL}=${versionName(MODEL, version)}`);
          return pods.length === count && pods.every(isReady)
            ? pods.map(({ metadata }) => metadata?.name ?? '')
            : undefined;
        },
        READY_WITHIN_MS,
      ),
    leftovers: async () => (await objectsIn(namespace)).filter((name) => !own.has(name)),
    served,
    async deploy(version) {
      await serving.ensureVersion(await served(version), new AbortController().signal);
      await eventually(
        `version ${version} ready`,
        async () =>
          (await serving.observe(MODEL)).some((one) => one.version === version && one.ready)
            ? true
            : undefined,
        READY_WITHIN_MS,
      );
    },
    processes: (version) => {
      const ofNamespace = new Set(processesWithVariable('DATABASE_URL', databaseUrl.href));
      const ofVersion = processesWithVariable('INFERENCE_SERVICE_NAME', versionName(MODEL, version));
      return ofVersion.filter((pid) => ofNamespace.has(pid) && isPredictor(pid));
    },
    async close() {
      await removeNamespace(api);
      forwarder.close();
      await database.stop();
      await removeFolder(folder);
    },
  };
}

const isReady = ({ metadata, status }: Pod): boolean =>
  metadata?.deletionTimestamp === undefined &&
  status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;

/** esbuild, which the predictor starts, has the same environment. */
function isPredictor(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('predictor/main.ts');
  } catch {
    return false;
  }
}

const readManifest = (path: string): KubernetesObject =>
  loadYaml(readFileSync(join(PROJECT_DIR, path), 'utf8'));

/** Makes the claim and returns the folder that the dev cluster's storage class gives it. */
async function claimFolder(api: KubernetesApi): Promise<string> {
  const claim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: CLAIM },
    spec: { accessModes: ['ReadWriteMany'], resources: { requests: { storage: '1Gi' } } },
  };
  await api.create(claim);
  return eventually('the volume claim', async () => {
    const volumeName = (await api.read<{ spec: { volumeName?: string } }>(claim))?.spec.volumeName;
    if (volumeName === undefined) return undefined;
    const reference = { apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: volumeName } };
    return (await api.read<{ spec: { hostPath?: { path: string } } }>(reference))?.spec.hostPath?.path;
  });
}

async function removeNamespace(api: KubernetesApi): Promise<void> {
  const reference = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: api.namespace } };
  await api.remove(reference);
  while ((await api.read(reference)) !== null) await sleep(500);
}
