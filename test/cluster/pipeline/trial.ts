/** The overlay `trial`, installed as docs/kubernetes.md says, with what differs on the cluster under test. */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { PROJECT_DIR } from '../../platform.ts';
import { GATEWAY_URL, NODE_ADDRESS } from '../dev-cluster.ts';
import { loadImages } from '../images/images.ts';
import { kubectl, kubectlJson, kubectlWith } from '../kubectl.ts';

export const NAMESPACE = 'shelfcast';

export interface Trial {
  /** host:port of Temporal's frontend. */
  temporal: string;
  databaseUrl: string;
  mlflowUrl: string;
  /** Folder of this machine that is the artifacts' volume. */
  artifactsFolder: string;
  remove: () => Promise<void>;
}

const NODE_PORTS = { temporal: 30733, postgres: 30432, mlflow: 30500 };
const PORTS = { temporal: 7233, postgres: 5432, mlflow: 5000 };

/** Installs it on empty data and waits until all of it runs. */
export async function installTrial(): Promise<Trial> {
  const images = await loadImages();
  await removeTrial();
  const password = randomBytes(16).toString('hex');
  const database = (host: string, name: string) => `postgresql://shelfcast:${password}@${host}/${name}`;
  await kubectl('create', 'namespace', NAMESPACE);
  await kubectl(
    ...['create', 'secret', 'generic', 'shelfcast', '--namespace', NAMESPACE],
    `--from-literal=POSTGRES_PASSWORD=${password}`,
    `--from-literal=DATABASE_URL=${database('shelfcast-postgres:5432', 'shelfcast')}`,
    `--from-literal=MLFLOW_DATABASE_URL=${database('shelfcast-postgres:5432', 'mlflow').replace('postgresql:', 'postgresql+psycopg:')}`,
  );
  await applyOverlay(images);
  await openVolumes();
  for (const name of [
    'statefulset/shelfcast-postgres',
    'deployment/shelfcast-temporal',
    'deployment/shelfcast-mlflow',
    'deployment/shelfcast-worker',
  ]) {
    await kubectl('rollout', 'status', name, '--namespace', NAMESPACE, '--timeout=240s');
  }
  return {
    temporal: `${NODE_ADDRESS}:${NODE_PORTS.temporal}`,
    databaseUrl: database(`${NODE_ADDRESS}:${NODE_PORTS.postgres}`, 'shelfcast'),
    mlflowUrl: `http://${NODE_ADDRESS}:${NODE_PORTS.mlflow}`,
    artifactsFolder: await folderOfClaim('shelfcast-artifacts'),
    remove: removeTrial,
  };
}

const removeTrial = async (): Promise<void> => {
  await kubectl('delete', 'namespace', NAMESPACE, '--ignore-not-found', '--wait', '--timeout=180s');
};

/** Settings that an installation writes into its own overlay: images, the gateway's address, resources. */
async function applyOverlay(images: Awaited<ReturnType<typeof loadImages>>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'shelfcast-overlay-'));
  try {
    const write = (name: string, value: object) => {
      writeFileSync(join(folder, name), JSON.stringify(value, null, 2));
    };
    write('kubernetes.yaml', kubernetesConfig(images));
    write('services.yaml', nodePortServices());
    write('kustomization.yaml', {
      resources: [relative(folder, join(PROJECT_DIR, 'infra/manifests/overlays/trial')), 'services.yaml'],
      namespace: NAMESPACE,
      configMapGenerator: [{ name: 'shelfcast-config', behavior: 'replace', files: ['kubernetes.yaml'] }],
      images: Object.entries({
        'shelfcast-worker': images.worker,
        'shelfcast-ml': images.ml,
        'docker.io/library/postgres': images.postgres,
        'docker.io/temporalio/temporal': images.temporal,
      }).map(([name, image]) => {
        const [newName, newTag] = image.split(/:(?=[^:/]*$)/);
        return { name, newName, newTag };
      }),
      patches: [
        {
          target: { kind: 'Deployment', name: 'shelfcast-mlflow' },
          patch: JSON.stringify({
            apiVersion: 'apps/v1',
            kind: 'Deployment',
            metadata: { name: 'shelfcast-mlflow' },
            spec: {
              template: {
                spec: {
                  containers: [
                    {
                      name: 'mlflow',
                      env: [
                        {
                          name: 'MLFLOW_SERVER_ALLOWED_HOSTS',
                          value: `shelfcast-mlflow,shelfcast-mlflow:5000,localhost,${NODE_ADDRESS}:${NODE_PORTS.mlflow}`,
                        },
                      ],
                    },
                  ],
                },
              },
            },
          }),
        },
      ],
    });
    await kubectlWith(
      await kubectl('kustomize', folder, '--load-restrictor=LoadRestrictionsNone'),
      'apply',
      '-f',
      '-',
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Requests fit two cores; limits stay. */
function kubernetesConfig(images: Awaited<ReturnType<typeof loadImages>>): object {
  const small = (memory: string, limit: string) => ({
    requests: { cpu: '100m', memory },
    limits: { memory: limit },
  });
  return {
    namespace: NAMESPACE,
    images: { ml: images.ml, predictor: images.predictor, pullPolicy: 'Never' },
    artifacts: { claim: 'shelfcast-artifacts' },
    jobs: {
      pendingAfterSeconds: 20,
      programs: { resources: small('512Mi', '2Gi') },
      features: {
        cluster: {
          head: { resources: small('1Gi', '4Gi') },
          workers: 1,
          worker: { resources: small('512Mi', '3Gi') },
        },
      },
      training: { resources: small('512Mi', '2Gi') },
    },
    serving: {
      url: GATEWAY_URL,
      parentRefs: [{ name: 'kserve-ingress-gateway', namespace: 'kserve' }],
      resources: { requests: { cpu: '50m', memory: '192Mi' }, limits: { memory: '768Mi' } },
      drainSeconds: 3,
    },
  };
}

/** Doors for the test; a user takes `kubectl port-forward`. */
function nodePortServices(): object {
  return {
    apiVersion: 'v1',
    kind: 'List',
    items: (['temporal', 'postgres', 'mlflow'] as const).map((name) => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: `test-${name}` },
      spec: {
        type: 'NodePort',
        selector: { 'app.kubernetes.io/name': `shelfcast-${name}` },
        ports: [{ port: PORTS[name], nodePort: NODE_PORTS[name] }],
      },
    })),
  };
}

/**
 * The dev cluster's volumes are folders of this machine, which only root may enter: Kubernetes gives no group to such, as it does to a
 * disk (fsGroup) or NFS to its clients.
 */
async function openVolumes(): Promise<void> {
  const { items } = await kubectlJson<{ items: { metadata: { name: string } }[] }>(
    ...['get', 'persistentvolumeclaims', '--namespace', NAMESPACE],
  );
  const names = new Set([...items.map(({ metadata }) => metadata.name), 'data-shelfcast-postgres-0']);
  for (const name of names) {
    const bound = ['--for=jsonpath={.status.phase}=Bound', '--timeout=60s', `persistentvolumeclaim/${name}`];
    await kubectl(
      'wait',
      '--for=create',
      '--timeout=60s',
      `persistentvolumeclaim/${name}`,
      '--namespace',
      NAMESPACE,
    );
    await kubectl('wait', ...bound, '--namespace', NAMESPACE);
    chmodSync(await folderOfClaim(name), 0o777);
  }
}

async function folderOfClaim(claim: string): Promise<string> {
  const { spec } = await kubectlJson<{ spec: { volumeName: string } }>(
    ...['get', 'persistentvolumeclaim', claim, '--namespace', NAMESPACE],
  );
  const volume = await kubectlJson<{ spec: { hostPath: { path: string } } }>(
    ...['get', 'persistentvolume', spec.volumeName],
  );
  return volume.spec.hostPath.path;
}
