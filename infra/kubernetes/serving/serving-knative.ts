/**
 * Serving in KServe's Knative mode: one InferenceService a model, whose field `canaryTrafficPercent` KServe passes on to Knative.
 *
 * Knative knows two versions at a time, the newest and the one before, and always sends the requests to one of them: the first version
 * has all of them at once, and a model that is to have no traffic is removed. Its manifests are tested; there was no Knative to run
 * it on.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { ServedVersion, Serving, VersionState } from '../../platform.ts';
import { reweighed, without } from '../../traffic-weights.ts';
import type { Weighted } from '../../traffic-weights.ts';
import type { KubernetesApi } from '../api.ts';
import type { KubernetesConfig } from '../config.ts';
import { httpRouteReference } from './http-route.ts';
import {
  knativeInferenceService,
  knativeReference,
  knativeRoute,
  parseKnativeState,
} from './inference-service-knative.ts';
import type { KnativeState, KnativeVersions } from './inference-service-knative.ts';
import { oneSentence } from '../one-sentence.ts';
import { Gateway } from './serving-gateway.ts';
import { refuseIgnored, whyWrongMode } from './serving-mode.ts';
import { MODEL_LABEL, VERSION_LABEL } from './serving-names.ts';

/** A new revision of a version that comes back starts its pods first. */
const IN_FORCE_WITHIN_MS = 120_000;
const POLL_MS = 500;

const revisionSchema = z.object({
  metadata: z.object({ name: z.string(), labels: z.record(z.string(), z.string()) }),
});

export class KnativeServing implements Serving {
  readonly url: string;
  readonly #api: KubernetesApi;
  readonly #config: KubernetesConfig;
  readonly #gateway: Gateway;

  constructor(api: KubernetesApi, config: KubernetesConfig) {
    this.url = config.serving.url;
    this.#api = api;
    this.#config = config;
    this.#gateway = new Gateway(config.serving.url);
  }

  async ensureVersion(served: ServedVersion, signal: AbortSignal): Promise<void> {
    await refuseIgnored(this.#api, this.#config.serving);
    const state = await this.#state(served.modelName);
    if (state === null) {
      await this.#apply({ newest: served, before: null }, undefined, signal);
      return;
    }
    const { newest, before } = state.versions;
    if (newest.version === served.version) {
      await this.#apply({ newest: served, before }, state.canaryPercent, signal);
      return;
    }
    const withTraffic = (await this.#weights(served.modelName, state)).filter(
      ({ weightPercent }) => weightPercent > 0,
    );
    if (withTraffic.some(({ version }) => version === served.version)) return;
    const [only, another] = withTraffic;
    if (only === undefined || another !== undefined) {
      throw new Error(
        `Knative serves two versions of a model at a time: give all of the traffic of "${served.modelName}" to one before ` +
          `version ${served.version} comes.`,
      );
    }
    const champion = only.version === newest.version ? newest : before;
    await this.#apply({ newest: served, before: champion }, 0, signal);
  }

  async observe(modelName: string): Promise<VersionState[]> {
    const state = await this.#state(modelName);
    if (state === null) return [];
    const weights = await this.#weights(modelName, state);
    return Promise.all(
      weights.map(async (one) => {
        const why = await this.#whyNotReady(modelName, one.version, state);
        return why === null ? { ...one, ready: true } : { ...one, ready: false, message: why };
      }),
    );
  }

  async setTraffic(modelName: string, weights: ReadonlyMap<number, number>): Promise<void> {
    const state = await this.#state(modelName);
    const wanted = reweighed(modelName, state === null ? [] : await this.#weights(modelName, state), weights);
    if (state === null) return;
    if (weights.size === 0) {
      await this.#remove(modelName);
      return;
    }
    const { newest } = state.versions;
    const percent = wanted.find(({ version }) => version === newest.version)?.weightPercent ?? 0;
    await this.#apply(state.versions, percent === 100 ? undefined : percent);
    await this.#waitUntilInForce(modelName, wanted);
  }

  async removeVersion(modelName: string, version: number): Promise<void> {
    const state = await this.#state(modelName);
    if (state === null) return;
    const others = without(modelName, await this.#weights(modelName, state), version);
    const { newest, before } = state.versions;
    // Knative itself removes revisions that have no traffic; only the newest is held by the specification.
    if (newest.version !== version || before === null) return;
    await this.#apply({ newest: before, before: null }, undefined);
    await this.#waitUntilInForce(modelName, others);
  }

  async #state(modelName: string): Promise<KnativeState | null> {
    const object = await this.#api.read(knativeReference(modelName));
    if (object === null) return null;
    const state = parseKnativeState(object);
    return state.isRemoved ? null : state;
  }

  /** The newest version and those that have requests. */
  async #weights(modelName: string, { versions, traffic }: KnativeState): Promise<Weighted[]> {
    const revisions = await this.#api.list(
      'serving.knative.dev/v1',
      'Revision',
      `${MODEL_LABEL}=${modelName},${VERSION_LABEL}`,
    );
    const versionOf = new Map(
      revisions
        .map((object) => revisionSchema.parse(object).metadata)
        .map(({ name, labels }) => [name, Number(labels[VERSION_LABEL])] as const),
    );
    const weights = new Map([[versions.newest.version, 0]]);
    for (const { revisionName, percent } of traffic) {
      const version = versionOf.get(revisionName);
      if (version !== undefined) weights.set(version, (weights.get(version) ?? 0) + percent);
    }
    return [...weights].map(([version, weightPercent]) => ({ version, weightPercent }));
  }

  async #apply(
    versions: KnativeVersions,
    canaryPercent: number | undefined,
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#api.apply(knativeInferenceService(versions, this.#config, canaryPercent), signal);
    await this.#api.apply(knativeRoute(versions, this.#config), signal);
  }

  async #remove(modelName: string): Promise<void> {
    await this.#api.remove(httpRouteReference(modelName));
    const reference = knativeReference(modelName);
    await this.#api.remove(reference);
    await this.#poll(
      () => `InferenceService "${reference.metadata.name}" is being removed and still there`,
      async () => (await this.#api.read(reference)) === null,
    );
  }

  async #whyNotReady(modelName: string, version: number, state: KnativeState): Promise<string | null> {
    const wrongMode = whyWrongMode(state.deploymentMode, 'knative');
    if (wrongMode !== null) return wrongMode;
    const why = await this.#gateway.whyUnreachable(modelName, version);
    if (why === null) return null;
    const refused = state.conditions.find(({ status, message }) => status === 'False' && message !== '');
    return refused === undefined ? why : oneSentence(`Knative says ${refused.type}: ${refused.message}`);
  }

  async #waitUntilInForce(modelName: string, wanted: readonly Weighted[]): Promise<void> {
    const expected = wanted.filter(({ weightPercent }) => weightPercent > 0);
    const words = expected.map(({ version, weightPercent }) => `${version}=${weightPercent}`).join();
    await this.#poll(
      () => `Knative does not send the requests for "${modelName}" by the weights ${words}`,
      async () => {
        const state = await this.#state(modelName);
        if (state === null) return false;
        const weights = await this.#weights(modelName, state);
        return expected.every(({ version, weightPercent }) =>
          weights.some((one) => one.version === version && one.weightPercent === weightPercent),
        );
      },
    );
  }

  async #poll(what: () => string, isDone: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + IN_FORCE_WITHIN_MS;
    while (!(await isDone())) {
      if (Date.now() > deadline) throw new Error(`${what()} after ${IN_FORCE_WITHIN_MS / 1_000} s.`);
      await sleep(POLL_MS);
    }
  }
}
