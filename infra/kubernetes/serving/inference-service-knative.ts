/**
 * The manifests of a model in Knative mode: one InferenceService whose newest version gets `canaryTrafficPercent` of the requests and
 * the version before it the rest, and an HTTPRoute that turns our header into Knative's host names.
 */
import { z } from 'zod';
import type { KubernetesConfig } from '../config.ts';
import { httpRouteReference, modelPaths, pinTo } from './http-route.ts';
import { INFERENCE_SERVICE, modelSpec, podOptions } from './inference-service.ts';
import type { Autoscaling } from './serving-config.ts';
import { knativeName, modelLabels, predictorName, VERSION_LABEL } from './serving-names.ts';

/** Annotation: what `spec` serves, so that it can be written again, and the version before it. */
const VERSIONS_KEY = 'shelfcast.dev/versions';

const servedSchema = z.object({
  modelName: z.string(),
  version: z.int(),
  modelUri: z.string(),
  modelHash: z.string(),
});
const versionsSchema = z.object({ newest: servedSchema, before: servedSchema.nullable() });
export type KnativeVersions = z.output<typeof versionsSchema>;

export const knativeReference = (modelName: string) => ({
  ...INFERENCE_SERVICE,
  metadata: { name: knativeName(modelName) },
});

/** @param canaryPercent of the newest version; absent: all */
export function knativeInferenceService(
  versions: KnativeVersions,
  config: KubernetesConfig,
  canaryPercent?: number,
) {
  const { newest } = versions;
  return {
    ...INFERENCE_SERVICE,
    metadata: {
      name: knativeName(newest.modelName),
      labels: { ...modelLabels(newest.modelName), 'networking.knative.dev/visibility': 'cluster-local' },
      annotations: {
        'serving.kserve.io/deploymentMode': 'Knative',
        // Gives the newest revision a host name of its own; the one before always has one.
        'serving.kserve.io/enable-tag-routing': 'true',
        [VERSIONS_KEY]: JSON.stringify(versions),
      },
    },
    spec: {
      predictor: {
        // Tells revisions apart.
        labels: { [VERSION_LABEL]: String(newest.version) },
        ...(canaryPercent === undefined ? {} : { canaryTrafficPercent: canaryPercent }),
        ...replicas(config.serving.autoscaling),
        ...podOptions(config),
        model: modelSpec(newest, config),
      },
    },
  };
}

function replicas(autoscaling: Autoscaling) {
  switch (autoscaling.by) {
    case 'requests': {
      const { minReplicas, maxReplicas, perSecond } = autoscaling;
      return {
        minReplicas,
        maxReplicas,
        scaleMetric: 'rps',
        scaleTarget: Math.max(1, Math.round(perSecond)),
      };
    }
    case 'none':
      return { minReplicas: autoscaling.replicas, maxReplicas: autoscaling.replicas };
    case 'cpu':
      throw new RangeError('Knative does not scale by cpu'); // refuseIgnored() has said so before
  }
}

/** Requests enter Knative by its own gateway, which looks at the host name. */
export function knativeRoute({ newest, before }: KnativeVersions, config: KubernetesConfig) {
  const { namespace, serving } = config;
  const host = `${predictorName(knativeName(newest.modelName))}.${namespace}.svc.cluster.local`;
  const { name, namespace: ingressNamespace, port } = serving.knative.ingress;
  const to = (hostname: string) => ({
    filters: [{ type: 'URLRewrite', urlRewrite: { hostname } }],
    backendRefs: [{ name, namespace: ingressNamespace, port }],
  });
  const paths = modelPaths(newest.modelName);
  const reference = httpRouteReference(newest.modelName);
  return {
    ...reference,
    metadata: { ...reference.metadata, labels: modelLabels(newest.modelName) },
    spec: {
      parentRefs: serving.parentRefs,
      ...(serving.hostnames.length > 0 ? { hostnames: serving.hostnames } : {}),
      rules: [
        { matches: pinTo(newest.version, paths), ...to(`latest-${host}`) },
        ...(before === null ? [] : [{ matches: pinTo(before.version, paths), ...to(`prev-${host}`) }]),
        { matches: paths.map((path) => ({ path })), ...to(host) },
      ],
    },
  };
}

const trafficSchema = z.array(z.object({ revisionName: z.string(), percent: z.int().default(0) }));

const knativeSchema = z.object({
  metadata: z.object({
    generation: z.int(),
    annotations: z.record(z.string(), z.string()).default({}),
    deletionTimestamp: z.string().optional(),
  }),
  spec: z.object({ predictor: z.object({ canaryTrafficPercent: z.int().optional() }) }),
  status: z
    .object({
      deploymentMode: z.string().default(''),
      conditions: z
        .array(z.object({ type: z.string(), status: z.string(), message: z.string().default('') }))
        .default([]),
      components: z
        .object({
          predictor: z
            .object({ latestRolledoutRevision: z.string().default(''), traffic: trafficSchema.default([]) })
            .prefault({}),
        })
        .prefault({}),
    })
    .prefault({}),
});

export interface KnativeState {
  versions: KnativeVersions;
  canaryPercent: number | undefined;
  isRemoved: boolean;
  deploymentMode: string;
  /** Revision and percent, as Knative says that it is. */
  traffic: readonly { revisionName: string; percent: number }[];
  conditions: readonly { type: string; status: string; message: string }[];
}

/** @throws ZodError when it is no InferenceService that this file could have made */
export function parseKnativeState(object: unknown): KnativeState {
  const { metadata, spec, status } = knativeSchema.parse(object);
  return {
    versions: versionsSchema.parse(JSON.parse(metadata.annotations[VERSIONS_KEY] ?? 'null')),
    canaryPercent: spec.predictor.canaryTrafficPercent,
    isRemoved: metadata.deletionTimestamp !== undefined,
    deploymentMode: status.deploymentMode,
    traffic: status.components.predictor.traffic,
    conditions: status.conditions,
  };
}
