/**
 * HTTPRoute of a model, the only place that holds the weights of its versions.
 *
 * Each version has a rule for the requests that are pinned to it; the last rule splits all others by weight. Paths match exactly,
 * because a prefix of the Gateway API ends at a slash: `/v1/models/m` is no prefix of `/v1/models/m:predict`.
 */
import { z } from 'zod';
import { VERSION_HEADER } from '../../../contracts/predict.ts';
import type { Weighted } from '../../traffic-weights.ts';
import type { ServingConfig } from './serving-config.ts';
import { modelLabels, predictorName, routeName, versionName } from './serving-names.ts';

/** Header that the gateway sets on every answer to an unpinned request: versions and their weights, e.g. `1=90,2=10`. */
export const WEIGHTS_HEADER = 'x-shelfcast-weights';

/** Port of KServe's Services. */
const SERVICE_PORT = 80;

export const httpRouteReference = (modelName: string) => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: { name: routeName(modelName) },
});

/** Paths of a model's status and of its forecasts. */
const modelPaths = (modelName: string) =>
  [`/v1/models/${modelName}`, `/v1/models/${modelName}:predict`].map((value) => ({ type: 'Exact', value }));

/** Matches of the requests that are pinned to a version. */
const pinTo = (version: number, paths: ReturnType<typeof modelPaths>) =>
  paths.map((path) => ({
    path,
    headers: [{ type: 'Exact', name: VERSION_HEADER, value: String(version) }],
  }));

export const weightsText = (versions: readonly Weighted[]): string =>
  sorted(versions)
    .map(({ version, weightPercent }) => `${version}=${weightPercent}`)
    .join();

export function httpRoute(
  modelName: string,
  versions: readonly Weighted[],
  { parentRefs, hostnames }: Pick<ServingConfig, 'parentRefs' | 'hostnames'>,
) {
  const paths = modelPaths(modelName);
  const backend = (version: number) => ({
    name: predictorName(versionName(modelName, version)),
    port: SERVICE_PORT,
  });
  const pinned = sorted(versions).map(({ version }) => ({
    matches: pinTo(version, paths),
    backendRefs: [backend(version)],
  }));
  const weighted = {
    matches: paths.map((path) => ({ path })),
    filters: [
      {
        type: 'ResponseHeaderModifier',
        responseHeaderModifier: { set: [{ name: WEIGHTS_HEADER, value: weightsText(versions) }] },
      },
    ],
    // Empty while no version has weight; the gateway then answers 500 or 503 itself.
    backendRefs: sorted(versions)
      .filter(({ weightPercent }) => weightPercent > 0)
      .map(({ version, weightPercent }) => ({ ...backend(version), weight: weightPercent })),
  };
  const { apiVersion, kind, metadata } = httpRouteReference(modelName);
  return {
    apiVersion,
    kind,
    metadata: { ...metadata, labels: modelLabels(modelName) },
    spec: {
      parentRefs,
      ...(hostnames.length > 0 ? { hostnames } : {}),
      rules: [...pinned, weighted],
    },
  };
}

const sorted = <T extends Weighted>(versions: readonly T[]): T[] =>
  [...versions].sort((a, b) => a.version - b.version);

const conditionSchema = z.object({
  type: z.string(),
  status: z.string(),
  message: z.string().default(''),
  observedGeneration: z.int().default(0),
});

const routeSchema = z.object({
  metadata: z.object({ resourceVersion: z.string(), generation: z.int() }),
  spec: z.object({
    rules: z.array(
      z.object({
        matches: z.array(
          z.object({ headers: z.array(z.object({ name: z.string(), value: z.string() })).default([]) }),
        ),
        backendRefs: z.array(z.object({ name: z.string(), weight: z.int().default(1) })).default([]),
      }),
    ),
  }),
  status: z
    .object({ parents: z.array(z.object({ conditions: z.array(conditionSchema).default([]) })).default([]) })
    .prefault({}),
});
export type Route = z.output<typeof routeSchema>;

/** @throws ZodError when this file cannot have created the HTTPRoute */
export const parseRoute = (object: unknown): Route => routeSchema.parse(object);

/** Returns the versions in the route, with their weights. */
export function routedVersions(modelName: string, { spec: { rules } }: Route): Weighted[] {
  const pinOf = (rule: (typeof rules)[number]): string | undefined =>
    rule.matches[0]?.headers.find(({ name }) => name === VERSION_HEADER)?.value;
  const weights = new Map(
    rules
      .filter((rule) => pinOf(rule) === undefined)
      .flatMap(({ backendRefs }) => backendRefs.map(({ name, weight }) => [name, weight] as const)),
  );
  return rules.flatMap((rule) => {
    const pin = pinOf(rule);
    if (pin === undefined) return [];
    const version = Number(pin);
    return { version, weightPercent: weights.get(predictorName(versionName(modelName, version))) ?? 0 };
  });
}

/** Whether a gateway has accepted the route's current generation. */
export const isAccepted = ({ metadata, status }: Route): boolean =>
  status.parents.some(({ conditions }) =>
    conditions.some(
      ({ type, status: value, observedGeneration }) =>
        type === 'Accepted' && value === 'True' && observedGeneration >= metadata.generation,
    ),
  );

/** Returns in one sentence why the gateways do not accept the route. */
export function objections({ status: { parents } }: Route): string {
  if (parents.length === 0) return 'No gateway has reported a status of the route; check serving.parentRefs.';
  const refused = parents
    .flatMap(({ conditions }) => conditions)
    .filter(({ status }) => status === 'False')
    .map(({ type, message }) => `${type} is False${message === '' ? '' : ` (${message})`}`);
  return refused.length === 0
    ? 'The gateway accepts the route.'
    : `The gateway reports: ${refused.join('; ')}.`;
}
