/**
 * The Serving port on a cluster: each version is an InferenceService of KServe in its Standard mode, and an HTTPRoute splits the traffic.
 *
 * The class holds no state: the route holds versions and weights (http-route.ts), KServe's objects hold the pods.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServedVersion, Serving, VersionState } from '../../platform.ts';
import { reweighed, without } from '../../traffic-weights.ts';
import type { Weighted } from '../../traffic-weights.ts';
import type { KubernetesApi } from '../api.ts';
import type { KubernetesConfig } from '../config.ts';
import { KubernetesConflict } from '../errors.ts';
import {
  httpRoute,
  httpRouteReference,
  isAccepted,
  objections,
  parseRoute,
  routedVersions,
  weightsText,
} from './http-route.ts';
import type { Route } from './http-route.ts';
import {
  horizontalPodAutoscaler,
  INFERENCE_SERVICE,
  inferenceService,
  podDisruptionBudget,
} from './inference-service.ts';
import type { Pod } from '../pod-trouble.ts';
import { Gateway } from './serving-gateway.ts';
import type { GatewayAnswer } from './serving-gateway.ts';
import { inferenceServiceSchema, isPredictorReady, whyNotReady } from './serving-message.ts';
import type { InferenceService } from './serving-message.ts';
import { refuseIgnored, standardModeName, whyWrongMode } from './serving-mode.ts';
import { MODEL_LABEL, SERVICE_LABEL, VERSION_LABEL, versionName } from './serving-names.ts';

/** Time limit for a change to reach the gateway; it usually takes seconds. */
const IN_FORCE_WITHIN_MS = 30_000;
/** Time limit for the removal of a version, longer than a pod may take to end. */
const GONE_WITHIN_MS = 60_000;
const POLL_MS = 200;
/** Largest number of conflicts with concurrent changes of one route; each change forces the others to read the route again. */
const MAX_CONFLICTS = 20;

export class KubernetesServing implements Serving {
  readonly url: string;
  readonly #api: KubernetesApi;
  readonly #config: KubernetesConfig;
  readonly #gateway: Gateway;
  #modeName: Promise<string> | undefined;

  constructor(api: KubernetesApi, config: KubernetesConfig) {
    this.url = config.serving.url;
    this.#api = api;
    this.#config = config;
    this.#gateway = new Gateway(config.serving.url);
  }

  async ensureVersion(served: ServedVersion, signal: AbortSignal): Promise<void> {
    const { serving } = this.#config;
    const manifest = inferenceService(served, this.#config, await this.#deploymentMode());
    await this.#waitForPendingRemoval(served.modelName, served.version, signal);
    // The rule comes first, because `observe` finds versions by their rules: an attempt that dies here is visible and can continue.
    await this.#changeRoute(served.modelName, (versions) =>
      versions.some(({ version }) => version === served.version)
        ? versions
        : [...versions, { version: served.version, weightPercent: 0 }],
    );
    const { metadata } = inferenceServiceSchema.parse(await this.#api.apply(manifest, signal));
    const owner = { name: metadata.name, uid: metadata.uid };
    await this.#api.apply(podDisruptionBudget(served, owner), signal);
    if (serving.autoscaling.by === 'cpu')
      await this.#api.apply(horizontalPodAutoscaler(served, serving.autoscaling, owner), signal);
    else await this.#api.remove(autoscalerReference(owner.name), signal);
  }

  async observe(modelName: string): Promise<VersionState[]> {
    const [route, services] = await Promise.all([this.#route(modelName), this.#services(modelName)]);
    const routed = route === null ? [] : routedVersions(modelName, route);
    // An interrupted removal leaves an InferenceService without a rule.
    const forgotten = [...services.keys()]
      .filter((version) => routed.every((one) => one.version !== version))
      .map((version) => ({ version, weightPercent: 0 }));
    return Promise.all(
      [...routed, ...forgotten].map(async (one) => {
        const why = await this.#whyNotReady(modelName, one.version, services.get(one.version));
        return why === null ? { ...one, ready: true } : { ...one, ready: false, message: why };
      }),
    );
  }

  async setTraffic(modelName: string, weights: ReadonlyMap<number, number>): Promise<void> {
    const versions = await this.#changeRoute(modelName, (served) => reweighed(modelName, served, weights));
    await this.#waitUntilInForce(modelName, versions);
  }

  async removeVersion(modelName: string, version: number): Promise<void> {
    const versions = await this.#changeRoute(modelName, (served) => without(modelName, served, version));
    await this.#waitUntilInForce(modelName, versions);
    const name = versionName(modelName, version);
    await this.#api.remove(autoscalerReference(name));
    await this.#api.remove({ ...INFERENCE_SERVICE, metadata: { name } });
    await this.#api.remove({ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name } });
    await this.#waitUntilRemoved(modelName, version);
  }

  /** Returns the name of the mode, which is read once; a failed attempt is repeated. */
  #deploymentMode(): Promise<string> {
    this.#modeName ??= refuseIgnored(this.#api, this.#config.serving)
      .then(() => standardModeName(this.#api))
      .catch((error: unknown) => {
        this.#modeName = undefined;
        throw error;
      });
    return this.#modeName;
  }

  async #route(modelName: string): Promise<Route | null> {
    const object = await this.#api.read(httpRouteReference(modelName));
    return object === null ? null : parseRoute(object);
  }

  /** Returns the model's InferenceServices that are not being removed, by version. */
  async #services(modelName: string): Promise<Map<number, InferenceService>> {
    const { apiVersion, kind } = INFERENCE_SERVICE;
    const objects = await this.#api.list(apiVersion, kind, `${MODEL_LABEL}=${modelName},${VERSION_LABEL}`);
    return new Map(
      objects
        .map((object) => inferenceServiceSchema.parse(object))
        .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
        .map((service) => [Number(service.metadata.labels[VERSION_LABEL]), service]),
    );
  }

  async #pods(modelName: string, version: number): Promise<Pod[]> {
    return this.#api.list('v1', 'Pod', `${SERVICE_LABEL}=${versionName(modelName, version)}`);
  }

  async #whyNotReady(
    modelName: string,
    version: number,
    service: InferenceService | undefined,
  ): Promise<string | null> {
    if (service === undefined)
      return `its InferenceService "${versionName(modelName, version)}" does not exist; somebody removed it`;
    const wrongMode = whyWrongMode(service.status.deploymentMode);
    if (wrongMode !== null) return wrongMode;
    if (isPredictorReady(service)) return this.#gateway.whyUnreachable(modelName, version);
    // Newest first, because older pods may have an earlier specification.
    const pods = (await this.#pods(modelName, version)).sort((a, b) => madeAt(b).localeCompare(madeAt(a)));
    const events = await this.#api.eventsOf(
      'uid',
      pods.flatMap(({ metadata }) => metadata?.uid ?? []),
    );
    return whyNotReady(service, pods, events);
  }

  /**
   * Reads the route, changes it and writes it back; starts again when someone else changed it in between. Returns the new versions
   * of the route.
   */
  async #changeRoute(modelName: string, change: (versions: Weighted[]) => Weighted[]): Promise<Weighted[]> {
    for (let conflicts = 0; ; conflicts++) {
      const route = await this.#route(modelName);
      const versions = route === null ? [] : routedVersions(modelName, route);
      const wanted = change(versions);
      if (weightsText(wanted) === weightsText(versions)) return wanted;
      try {
        if (await this.#writeRoute(modelName, wanted, route)) return wanted;
      } catch (error) {
        if (!(error instanceof KubernetesConflict) || conflicts === MAX_CONFLICTS) throw error;
      }
      await sleep(Math.random() * POLL_MS);
    }
  }

  /** Returns false when someone else has created the route since it was read. */
  async #writeRoute(modelName: string, versions: Weighted[], old: Route | null): Promise<boolean> {
    const manifest = httpRoute(modelName, versions, this.#config.serving);
    if (old === null) return (await this.#api.create(manifest)) !== null;
    const { resourceVersion } = old.metadata;
    const object = { ...manifest, metadata: { ...manifest.metadata, resourceVersion } };
    if (versions.length === 0) await this.#api.remove(object);
    else await this.#api.apply(object);
    return true;
  }

  async #waitUntilInForce(modelName: string, versions: Weighted[]): Promise<void> {
    if (versions.length === 0) return;
    const wanted = weightsText(versions);
    const hasTraffic = versions.some(({ weightPercent }) => weightPercent > 0);
    const isExpected = ({ status, version, weights }: GatewayAnswer): boolean =>
      // Not every gateway sets the header on answers that it makes itself.
      weights === wanted || (!hasTraffic && version === null && status >= 500);
    const deadline = Date.now() + IN_FORCE_WITHIN_MS;
    let answer: GatewayAnswer | null = null;
    for (;;) {
      const route = await this.#route(modelName);
      if (route !== null && isAccepted(route)) {
        answer = await this.#gateway.waitFor(modelName, isExpected, deadline);
        if (answer === null) return;
      }
      if (Date.now() > deadline) throw notInForce(this.url, modelName, wanted, answer, route);
      await sleep(POLL_MS);
    }
  }

  /** Waits while an earlier InferenceService of the version is being removed. */
  #waitForPendingRemoval(modelName: string, version: number, signal: AbortSignal): Promise<void> {
    return this.#pollService(
      modelName,
      version,
      (service) => Promise.resolve(service?.metadata.deletionTimestamp === undefined),
      signal,
    );
  }

  /** Waits until the version's InferenceService and its pods are gone. */
  #waitUntilRemoved(modelName: string, version: number): Promise<void> {
    return this.#pollService(
      modelName,
      version,
      async (service) => service === null && (await this.#pods(modelName, version)).length === 0,
    );
  }

  /** Reads the version's InferenceService, null when there is none, until `isDone`. */
  async #pollService(
    modelName: string,
    version: number,
    isDone: (service: InferenceService | null) => Promise<boolean>,
    signal?: AbortSignal,
  ): Promise<void> {
    const reference = { ...INFERENCE_SERVICE, metadata: { name: versionName(modelName, version) } };
    const deadline = Date.now() + this.#config.serving.drainSeconds * 1_000 + GONE_WITHIN_MS;
    for (;;) {
      const object = await this.#api.read(reference, signal);
      if (await isDone(object === null ? null : inferenceServiceSchema.parse(object))) return;
      if (Date.now() > deadline) {
        throw new Error(
          `InferenceService "${reference.metadata.name}" is being removed but still exists: check that KServe's controller runs`,
        );
      }
      await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal });
    }
  }
}

const madeAt = ({ metadata }: Pod): string => metadata?.creationTimestamp ?? '';

const autoscalerReference = (name: string) => ({
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  metadata: { name },
});

function notInForce(
  url: string,
  modelName: string,
  wanted: string,
  answer: GatewayAnswer | null,
  route: Route | null,
): Error {
  const instead =
    answer === null ? '' : `, but answers ${answer.status} with the weights ${answer.weights ?? '(none)'}`;
  const why = route === null ? 'The route does not exist.' : objections(route);
  return new Error(
    `The gateway at ${url} does not send the requests for "${modelName}" by the weights ${wanted} within ` +
      `${IN_FORCE_WITHIN_MS / 1_000} s${instead}. ${why}`,
  );
}
