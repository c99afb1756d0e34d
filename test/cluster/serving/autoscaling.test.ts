/** A version that gets more pods under load, and gives them back, without losing a request. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import Table from 'cli-table3';
import { predictorName, versionName } from '../../../infra/kubernetes/serving/serving-names.ts';
import { failures, startLoad } from './load.ts';
import type { ServingLab } from './serving-lab.ts';
import { MODEL, startServingLab } from './serving-lab.ts';

const REPLICAS = 3;
const WITHIN_MS = 240_000;

let lab: ServingLab;

beforeAll(async () => {
  lab = await startServingLab([0], {
    autoscaling: {
      by: 'cpu',
      minReplicas: 1,
      maxReplicas: REPLICAS,
      targetPercent: 50,
      scaleDownAfterSeconds: 15,
    },
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '1', memory: '512Mi' } },
  });
});
afterAll(() => lab.close());

interface Moment {
  what: string;
  pods: number;
  afterSeconds: number;
}

it(`goes from 1 to ${REPLICAS} pods under load and back to 1`, async () => {
  await lab.deploy(1);
  await lab.serving.setTraffic(MODEL, new Map([[1, 100]]));
  const moments: Moment[] = [];
  const waitFor = async (what: string, pods: number, count: () => Promise<number>): Promise<void> => {
    const begin = Date.now();
    for (;;) {
      const now = await count();
      if (now === pods) break;
      if (Date.now() - begin > WITHIN_MS) throw new Error(`${what}: ${now} pods instead of ${pods}`);
      await sleep(500);
    }
    const afterSeconds = Math.round((Date.now() - begin) / 1_000);
    moments.push({ what, pods, afterSeconds });
  };
  // The CPU time of the predictor's own start must leave the averages first.
  const load = startLoad(lab.serving.url, 1, 1_000);
  await waitFor('almost idle', 1, readyPods);
  const busy = startLoad(lab.serving.url, 4);
  await waitFor('under load', REPLICAS, readyPods);
  // For a while all of them answer.
  await sleep(15_000);
  await busy.stop();
  await waitFor('almost idle again', 1, () => Promise.resolve(lab.processes(1).length));
  await load.stop();
  const table = new Table({
    style: { head: [], border: [] },
    head: ['', 'pods', 'after seconds'],
  });
  table.push(...moments.map(({ what, pods, afterSeconds }) => [what, pods, afterSeconds]));
  const replies = [...load.replies, ...busy.replies];
  const failed = failures(replies);
  process.stdout.write(`${table.toString()}\nfailed: ${failed.length} of ${replies.length}\n`);
  expect(failed).toEqual([]);
}, 600_000);

async function readyPods(): Promise<number> {
  const deployment = await lab.api.read<{ status?: { readyReplicas?: number } }>({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: predictorName(versionName(MODEL, 1)) },
  });
  return deployment?.status?.readyReplicas ?? 0;
}

it('leaves nothing', async () => {
  await lab.serving.setTraffic(MODEL, new Map());
  await lab.serving.removeVersion(MODEL, 1);
  expect(await lab.leftovers()).toEqual([]);
});
