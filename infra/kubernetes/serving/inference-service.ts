/**
 * Manifests of one served version: an InferenceService of KServe, its PodDisruptionBudget and its HorizontalPodAutoscaler. The
 * container comes from the ServingRuntime (infra/manifests/base/serving-runtime.yaml).
 */
import { isAbsolute, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ServedVersion } from '../../platform.ts';
import type { KubernetesConfig } from '../config.ts';
import { placement } from '../placement.ts';
import { POD_SECURITY } from '../pod-security.ts';
import type { Autoscaling } from './serving-config.ts';
import { predictorName, SERVICE_LABEL, versionLabels, versionName } from './serving-names.ts';

/** Time for the requests in flight when the drain ends; the longest takes seconds. */
const LAST_REQUESTS_SECONDS = 20;
const MODEL_FORMAT = 'shelfcast';

export const INFERENCE_SERVICE = { apiVersion: 'serving.kserve.io/v1beta1', kind: 'InferenceService' };

export interface Owner {
  name: string;
  uid: string;
}

/**
 * Returns the model's address for KServe: a folder of the artifacts' volume, or of its copy at `serving.modelStorage`.
 * @throws RangeError when the model is not among the artifacts
 */
export function storageUri({ modelUri }: ServedVersion, { artifacts, serving }: KubernetesConfig): string {
  const path = modelUri.startsWith('file://') ? fileURLToPath(modelUri) : '';
  const relative = posix.relative(artifacts.mountPath, path);
  if (path === '' || relative === '' || relative.startsWith('..') || isAbsolute(relative)) {
    throw new RangeError(
      `the model at ${modelUri} cannot be served: predictors reach only files below ${artifacts.mountPath}, ` +
        `on the volume "${artifacts.claim}"`,
    );
  }
  return `${serving.modelStorage ?? `pvc://${artifacts.claim}`}/${relative}`;
}

/** @param deploymentMode name of the Standard mode in this release of KServe */
export function inferenceService(served: ServedVersion, config: KubernetesConfig, deploymentMode: string) {
  const { serving, podSecurityContext } = config;
  const name = versionName(served.modelName, served.version);
  return {
    ...INFERENCE_SERVICE,
    metadata: {
      name,
      labels: {
        ...versionLabels(served.modelName, served.version),
        // Requests enter through this project's HTTPRoute, so KServe need not create a route and a public host name for each version.
        'networking.kserve.io/visibility': 'cluster-local',
      },
      annotations: {
        'serving.kserve.io/deploymentMode': deploymentMode,
        'serving.kserve.io/autoscalerClass': autoscalerClass(serving.autoscaling),
      },
    },
    spec: {
      predictor: {
        ...replicas(served, serving.autoscaling),
        // A new pod is ready before an old one ends.
        deploymentStrategy: {
          type: 'RollingUpdate',
          rollingUpdate: { maxSurge: 1, maxUnavailable: 0 },
        },
        topologySpreadConstraints: ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map(
          (topologyKey) => ({
            maxSkew: 1,
            topologyKey,
            whenUnsatisfiable: 'ScheduleAnyway',
            labelSelector: { matchLabels: { [SERVICE_LABEL]: name } },
          }),
        ),
        terminationGracePeriodSeconds: serving.drainSeconds + LAST_REQUESTS_SECONDS,
        securityContext: { ...POD_SECURITY, ...podSecurityContext },
        ...podOptions(config),
        model: modelSpec(served, config),
      },
    },
  };
}

/** Fields of the predictor's container that differ from the ServingRuntime's. */
const modelSpec = (served: ServedVersion, config: KubernetesConfig) => ({
  modelFormat: { name: MODEL_FORMAT },
  runtime: config.serving.runtime,
  storageUri: storageUri(served, config),
  image: config.images.predictor,
  imagePullPolicy: config.images.pullPolicy,
  env: environment(served, config),
  resources: config.serving.resources,
});

const podOptions = (config: KubernetesConfig) => ({
  automountServiceAccountToken: false,
  enableServiceLinks: false,
  ...placement(config, config.serving),
});

const environment = ({ modelName, version, modelHash }: ServedVersion, config: KubernetesConfig) => [
  { name: 'MODEL_NAME', value: modelName },
  { name: 'MODEL_VERSION', value: String(version) },
  { name: 'MODEL_SHA256', value: modelHash },
  { name: 'MODEL_THREADS', value: String(config.serving.modelThreads) },
  { name: 'DRAIN_MS', value: String(config.serving.drainSeconds * 1_000) },
  {
    name: 'DATABASE_URL',
    valueFrom: { secretKeyRef: { name: config.secret, key: 'DATABASE_URL' } },
  },
];

/**
 * Autoscaler that KServe creates; none for `external`. The HorizontalPodAutoscaler below takes its place, because KServe's drops
 * `behavior`, and with it the scale-down delay.
 */
function autoscalerClass({ by }: Autoscaling): string {
  switch (by) {
    case 'none':
      return 'none';
    case 'cpu':
      return 'external';
    case 'requests':
      return 'keda';
  }
}

function replicas({ modelName, version }: ServedVersion, autoscaling: Autoscaling) {
  switch (autoscaling.by) {
    case 'none':
      return { minReplicas: autoscaling.replicas };
    case 'cpu':
      return {};
    case 'requests':
      return {
        minReplicas: autoscaling.minReplicas,
        maxReplicas: autoscaling.maxReplicas,
        autoScaling: {
          metrics: [
            {
              type: 'External',
              external: {
                metric: {
                  backend: 'prometheus',
                  serverAddress: autoscaling.prometheus,
                  query: `sum(rate(shelfcast_predictor_requests_total{model="${modelName}",version="${version}"}[1m]))`,
                },
                target: { type: 'Value', value: String(autoscaling.perSecond) },
              },
            },
          ],
          behavior: { scaleDown: { stabilizationWindowSeconds: autoscaling.scaleDownAfterSeconds } },
        },
      };
  }
}

/** Metadata of an object that Kubernetes deletes together with its owner. */
const ownedMetadata = ({ modelName, version }: ServedVersion, owner: Owner) => ({
  name: owner.name,
  labels: versionLabels(modelName, version),
  ownerReferences: [{ ...INFERENCE_SERVICE, ...owner }],
});

/** PodDisruptionBudget that lets a node be drained, one pod of the version at a time. */
export const podDisruptionBudget = (served: ServedVersion, owner: Owner) => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: ownedMetadata(served, owner),
  spec: { maxUnavailable: 1, selector: { matchLabels: { [SERVICE_LABEL]: owner.name } } },
});

export const horizontalPodAutoscaler = (
  served: ServedVersion,
  autoscaling: Extract<Autoscaling, { by: 'cpu' }>,
  owner: Owner,
) => ({
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  metadata: ownedMetadata(served, owner),
  spec: {
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: predictorName(owner.name) },
    minReplicas: autoscaling.minReplicas,
    maxReplicas: autoscaling.maxReplicas,
    metrics: [
      {
        type: 'Resource',
        resource: {
          name: 'cpu',
          target: { type: 'Utilization', averageUtilization: autoscaling.targetPercent },
        },
      },
    ],
    behavior: { scaleDown: { stabilizationWindowSeconds: autoscaling.scaleDownAfterSeconds } },
  },
});
