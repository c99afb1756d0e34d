/** Configuration of serving on a cluster. */
import { z } from 'zod';
import { kubernetesNameSchema } from '../names.ts';
import { resourcesSchema } from '../resources.ts';

/** A Gateway that the model's route attaches to. */
const parentRefSchema = z.strictObject({
  name: kubernetesNameSchema,
  /** Namespace of the Gateway; the versions' own when absent. */
  namespace: kubernetesNameSchema.optional(),
  /** Name of one of the Gateway's listeners; all that admit the route when absent. */
  sectionName: kubernetesNameSchema.optional(),
});

const replicas = z.int().min(1).max(1_000);

const fixedSchema = z.strictObject({
  by: z.literal('none'),
  /** Pods of each version. */
  replicas: replicas.default(1),
});

const cpuSchema = z.strictObject({
  by: z.literal('cpu'),
  minReplicas: replicas.default(1),
  maxReplicas: replicas,
  /** Target CPU utilization in percent of the request. */
  targetPercent: z.int().min(1).max(100).default(70),
  /** Time without need for a pod before it is removed. */
  scaleDownAfterSeconds: z.int().min(0).max(3_600).default(300),
});

const requestsSchema = z.strictObject({
  by: z.literal('requests'),
  minReplicas: replicas.default(1),
  maxReplicas: replicas,
  /** Prediction requests a second that one pod should answer. */
  perSecond: z.number().positive(),
  /** Address of the Prometheus that reads the predictors' metrics. */
  prometheus: z.url({ protocol: /^https?$/ }),
  scaleDownAfterSeconds: z.int().min(0).max(3_600).default(300),
});

const autoscalingSchema = z
  .discriminatedUnion('by', [fixedSchema, cpuSchema, requestsSchema])
  .refine(
    (chosen) => chosen.by === 'none' || chosen.minReplicas <= chosen.maxReplicas,
    'minReplicas must not be above maxReplicas',
  );
export type Autoscaling = z.output<typeof autoscalingSchema>;

export const servingConfigSchema = z
  .strictObject({
    /** Address of the gateway as workers and clients reach it. */
    url: z
      .url({ protocol: /^https?$/ })
      .refine((url) => new URL(url).pathname === '/', 'must have no path')
      .transform((url) => new URL(url).origin),
    parentRefs: z.array(parentRefSchema).min(1, 'must name the Gateway that carries the requests'),
    /**
     * Host names that the models answer to; all that the Gateway admits when empty. Installations that share a Gateway must use different
     * ones, or models of the same name would get each other's requests.
     */
    hostnames: z.array(z.string().min(1)).default([]),
    /** Name of the ServingRuntime that defines the predictor's container. */
    runtime: kubernetesNameSchema.default('shelfcast'),
    /** Address of a copy of the artifacts' volume, e.g. s3://bucket/prefix. When absent, predictors mount the volume itself. */
    modelStorage: z
      .string()
      .regex(/^[a-z][a-z0-9+]*:\/\/[^/]+(\/[^/]+)*$/, 'must be a URL without a slash at its end')
      .optional(),
    /** Service account whose Secrets KServe uses to read `modelStorage`; the namespace's default when absent. */
    serviceAccount: kubernetesNameSchema.optional(),
    autoscaling: autoscalingSchema.prefault({ by: 'none' }),
    resources: resourcesSchema.default({
      requests: { cpu: '250m', memory: '256Mi' },
      limits: { cpu: '1', memory: '512Mi' },
    }),
    /** Threads of one inference. */
    modelThreads: z.int().min(1).max(64).default(1),
    /** Time for which an ending pod continues to answer, until every gateway has removed it. */
    drainSeconds: z.int().min(0).max(300).default(10),
    nodeSelector: z.record(z.string(), z.string()).default({}),
    tolerations: z.array(z.looseObject({})).default([]),
  })
  .refine(({ url, hostnames }) => hostnames.length === 0 || hostnames.some((name) => admits(name, url)), {
    path: ['url'],
    message: 'must use one of the hostnames, or the gateway cannot route its requests',
  });
export type ServingConfig = z.output<typeof servingConfigSchema>;

/** Comparison of host names by the Gateway API's rule: a leading `*.` stands for one or more labels. */
function admits(hostname: string, url: string): boolean {
  const host = new URL(url).hostname;
  return hostname.startsWith('*.') ? host.endsWith(hostname.slice(1)) : host === hostname;
}
