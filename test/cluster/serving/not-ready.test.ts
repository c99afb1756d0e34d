/** Versions that never become ready report the reason, and changes made by hand are noticed and repaired. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KubernetesConfig } from '../../../infra/kubernetes/config.ts';
import { INFERENCE_SERVICE } from '../../../infra/kubernetes/serving/inference-service.ts';
import { versionName } from '../../../infra/kubernetes/serving/serving-names.ts';
import { eventually } from '../../predictor/processes.ts';
import type { ServingLab } from './serving-lab.ts';
import { MODEL, startServingLab } from './serving-lab.ts';

const never = new AbortController().signal;
/** Made below, beside what the lab makes. */
const OWN = ['Secret/database-away'];

let lab: ServingLab;

beforeAll(async () => {
  lab = await startServingLab([0, 500]);
  await lab.api.create({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'database-away' },
    stringData: { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' },
  });
});
afterAll(() => lab.close());

const stateOf = async (version: number) =>
  (await lab.serving.observe(MODEL)).find((one) => one.version === version);

describe('the message of a version that is not ready', () => {
  it.each<[string, (config: KubernetesConfig) => void, RegExp]>([
    [
      'its image is not there',
      ({ images }) => {
        images.predictor = 'localhost/none:1';
      },
      /^the image localhost\/none:1 of pod \S+ is not available \((ErrImagePull|ImagePullBackOff)\)/,
    ],
    [
      'its Secret is not there',
      (config) => {
        config.secret = 'absent';
      },
      /does not start \(CreateContainerConfigError\): secret "absent" not found$/,
    ],
    [
      'no node takes its pod',
      ({ serving }) => {
        serving.nodeSelector = { pool: 'none' };
      },
      /^no node takes pod \S+: 0\/1 nodes are available: 1 node\(s\) didn't match/,
    ],
    [
      'its runtime is not there',
      ({ serving }) => {
        serving.runtime = 'absent';
      },
      /^KServe cannot run it \(RuntimeNotRecognized\)/,
    ],
    [
      'its database is away',
      (config) => {
        config.secret = 'database-away';
      },
      /Readiness probe failed: HTTP probe failed with statuscode: 503$/,
    ],
  ])('%s', async (_name, change, words) => {
    const config = structuredClone(lab.config);
    change(config);
    await lab.withConfig(config).ensureVersion(await lab.served(1), never);
    await eventually(String(words), async () =>
      words.test((await stateOf(1))?.message ?? '') ? true : undefined,
    );
    expect(await stateOf(1)).toMatchObject({ ready: false, weightPercent: 0 });
    await lab.serving.removeVersion(MODEL, 1);
    expect(await lab.leftovers()).toEqual(OWN);
  });

  it('its model is not the one that was registered', async () => {
    await lab.serving.ensureVersion({ ...(await lab.served(1)), modelHash: '0'.repeat(64) }, never);
    const words =
      /^container kserve-container ended with exit code 1: .* is not the model that was registered/;
    await eventually(String(words), async () =>
      words.test((await stateOf(1))?.message ?? '') ? true : undefined,
    );
    await lab.serving.removeVersion(MODEL, 1);
  });
});

describe('a change made by hand', () => {
  const inferenceService = (version: number) => ({
    ...INFERENCE_SERVICE,
    metadata: { name: versionName(MODEL, version) },
  });

  it('is noticed, and the version is recreated on request', async () => {
    await lab.deploy(2);
    await lab.serving.setTraffic(MODEL, new Map([[2, 100]]));
    await lab.api.remove(inferenceService(2));
    await eventually('its absence', async () =>
      /somebody removed it$/.test((await stateOf(2))?.message ?? '') ? true : undefined,
    );
    await lab.deploy(2);
    expect(await stateOf(2)).toEqual({ version: 2, ready: true, weightPercent: 100 });
  });

  it('is noticed after a removal that was interrupted', async () => {
    await lab.deploy(1);
    await lab.api.remove({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: `${MODEL}-traffic` },
    });
    await eventually('the absence of the route', async () =>
      (await lab.serving.observe(MODEL)).every(({ weightPercent }) => weightPercent === 0) ? true : undefined,
    );
    for (const { version } of await lab.serving.observe(MODEL))
      await lab.serving.removeVersion(MODEL, version);
    expect(await lab.leftovers()).toEqual(OWN);
  });

  it('is reported when no gateway carries the route', async () => {
    const config = structuredClone(lab.config);
    config.serving.parentRefs = [{ name: 'absent', namespace: 'kserve' }];
    const astray = lab.withConfig(config);
    await astray.ensureVersion(await lab.served(1), never);
    await expect(astray.setTraffic(MODEL, new Map([[1, 100]]))).rejects.toThrow(
      /does not send the requests for "sales-forecast" by the weights 1=100 within 30 s.*No gateway has reported a status/,
    );
  });
});
