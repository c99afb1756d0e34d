/** Knative mode against a stand-in that does with the manifests what KServe's and Knative's controllers do. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { KubernetesApi, KubernetesObject } from '../../../infra/kubernetes/api.ts';
import {
  knativeInferenceService,
  knativeRoute,
} from '../../../infra/kubernetes/serving/inference-service-knative.ts';
import { createKubernetesServing } from '../../../infra/kubernetes/serving/serving-platform.ts';
import type { Serving } from '../../../infra/platform.ts';
import { configWith, SERVED } from './serving-examples.ts';

const MODEL = SERVED.modelName;
const never = new AbortController().signal;
const version = (number: number) => ({
  ...SERVED,
  version: number,
  modelUri: `file:///artifacts/models/${number}`,
});

interface InferenceService extends KubernetesObject {
  spec: { predictor: { canaryTrafficPercent?: number; labels: Record<string, string> } };
}

/** As components/predictor.go and reconcilers/knative/ksvc_reconciler.go of KServe 0.20 do it. */
class StandIn {
  readonly objects = new Map<string, KubernetesObject>();
  #revisions: { metadata: { name: string; labels: Record<string, string> } }[] = [];
  #rolledOut: string | undefined;

  has(): Promise<boolean> {
    return Promise.resolve(true);
  }

  read({ kind }: KubernetesObject): Promise<unknown> {
    return Promise.resolve(this.objects.get(kind) ?? null);
  }

  list(_apiVersion: string, kind: string): Promise<unknown[]> {
    return Promise.resolve(kind === 'Revision' ? this.#revisions : []);
  }

  remove({ kind }: KubernetesObject): Promise<void> {
    this.objects.delete(kind);
    return Promise.resolve();
  }

  apply(object: KubernetesObject): Promise<unknown> {
    const status = object.kind === 'InferenceService' ? this.#reconcile(object as InferenceService) : {};
    const applied = { ...object, metadata: { ...object.metadata, generation: 1 }, status };
    this.objects.set(object.kind, applied);
    return Promise.resolve(applied);
  }

  #reconcile({ spec: { predictor } }: InferenceService): object {
    const { labels } = predictor;
    const last = this.#revisions.at(-1)?.metadata;
    const isNew = last?.labels['shelfcast.dev/version'] !== labels['shelfcast.dev/version'];
    if (isNew) this.#revisions.push({ metadata: { name: `revision-${this.#revisions.length + 1}`, labels } });
    const name = `revision-${this.#revisions.length}`;
    const percent = predictor.canaryTrafficPercent;
    const traffic =
      percent !== undefined && this.#rolledOut !== undefined
        ? [
            { revisionName: name, percent, latestRevision: true, tag: 'latest' },
            { revisionName: this.#rolledOut, percent: 100 - percent, tag: 'prev' },
          ]
        : [{ revisionName: name, percent: 100, latestRevision: true, tag: 'latest' }];
    if (traffic[0]?.percent === 100) this.#rolledOut = name;
    return { deploymentMode: 'Knative', components: { predictor: { traffic } } };
  }
}

/** A gateway behind which every version that is asked for answers. */
let gateway: Server;
let url: string;
let cluster: StandIn;
let serving: Serving;

beforeAll(async () => {
  gateway = createServer((request, response) => {
    response.setHeader('x-shelfcast-version', request.headers['x-shelfcast-version'] ?? '0').end();
  }).listen(0, '127.0.0.1');
  await once(gateway, 'listening');
  url = `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`;
});
afterAll(() => gateway.close());

beforeEach(() => {
  cluster = new StandIn();
  serving = createKubernetesServing(
    cluster as unknown as KubernetesApi,
    configWith({ url, mode: 'knative' }),
  );
});

const canary = (): number | undefined =>
  (cluster.objects.get('InferenceService') as InferenceService).spec.predictor.canaryTrafficPercent;

const weights = async (): Promise<Record<number, number>> =>
  Object.fromEntries((await serving.observe(MODEL)).map((one) => [one.version, one.weightPercent]));

/** Version 1 with all of the traffic, version 2 beside it. */
async function rollOut(): Promise<void> {
  await serving.ensureVersion(version(1), never);
  await serving.ensureVersion(version(2), never);
}

it('describes two versions and the way to each', () => {
  const config = configWith({
    mode: 'knative',
    autoscaling: { by: 'requests', maxReplicas: 4, perSecond: 20, prometheus: 'http://prometheus' },
  });
  const versions = { newest: version(2), before: version(1) };
  expect(knativeInferenceService(versions, config, 10)).toMatchSnapshot();
  expect(knativeRoute(versions, config)).toMatchSnapshot();
});

describe('a rollout', () => {
  it('begins with a first version that has all of the traffic', async () => {
    expect(await serving.observe(MODEL)).toEqual([]);
    await serving.ensureVersion(version(1), never);
    expect(await serving.observe(MODEL)).toEqual([{ version: 1, ready: true, weightPercent: 100 }]);
    expect(canary()).toBeUndefined();
  });

  it('gives a new version none until it is told, however often both are asked for', async () => {
    await rollOut();
    await rollOut();
    expect(await weights()).toEqual({ 1: 100, 2: 0 });
    expect(canary()).toBe(0);
  });

  it('goes by canaryTrafficPercent, and ends without it', async () => {
    await rollOut();
    await serving.setTraffic(
      MODEL,
      new Map([
        [2, 10],
        [1, 90],
      ]),
    );
    expect([await weights(), canary()]).toEqual([{ 1: 90, 2: 10 }, 10]);
    await serving.setTraffic(MODEL, new Map([[2, 100]]));
    expect([await weights(), canary()]).toEqual([{ 2: 100 }, undefined]);
    await serving.removeVersion(MODEL, 1);
    expect(await weights()).toEqual({ 2: 100 });
  });

  it('takes a candidate back', async () => {
    await rollOut();
    await serving.setTraffic(
      MODEL,
      new Map([
        [2, 50],
        [1, 50],
      ]),
    );
    await expect(serving.removeVersion(MODEL, 2)).rejects.toThrow('has 50 % of the traffic');
    await serving.setTraffic(
      MODEL,
      new Map([
        [2, 0],
        [1, 100],
      ]),
    );
    await serving.removeVersion(MODEL, 2);
    expect([await weights(), canary()]).toEqual([{ 1: 100 }, undefined]);
  });

  it('goes on with another candidate after one that failed', async () => {
    await rollOut();
    await serving.ensureVersion(version(3), never);
    expect([await weights(), canary()]).toEqual([{ 1: 100, 3: 0 }, 0]);
  });
});

it('refuses a third version while two share the traffic', async () => {
  await rollOut();
  await serving.setTraffic(
    MODEL,
    new Map([
      [2, 10],
      [1, 90],
    ]),
  );
  await expect(serving.ensureVersion(version(3), never)).rejects.toThrow('two versions of a model at a time');
});

it('refuses weights as every platform does', async () => {
  await rollOut();
  await expect(serving.setTraffic(MODEL, new Map([[2, 90]]))).rejects.toThrow('add up to 90');
  expect(await weights()).toEqual({ 1: 100, 2: 0 });
});

it('removes a model that is to have no traffic', async () => {
  await rollOut();
  await serving.setTraffic(MODEL, new Map());
  expect(await serving.observe(MODEL)).toEqual([]);
  expect([...cluster.objects.keys()]).toEqual([]);
  await serving.removeVersion(MODEL, 1);
});
