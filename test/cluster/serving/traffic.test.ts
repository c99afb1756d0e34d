/** The weights that were asked for against the traffic that was measured, and no request lost on the way. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import Table from 'cli-table3';
import { eventually } from '../../predictor/processes.ts';
import { kubectlWith } from '../kubectl.ts';
import { ask, countByVersion, failures, startLoad } from './load.ts';
import type { ServingLab } from './serving-lab.ts';
import { MODEL, startServingLab } from './serving-lab.ts';

const REQUESTS = 1_000;
const STYLE = { head: [], border: [] };
const never = new AbortController().signal;

let lab: ServingLab;

beforeAll(async () => {
  lab = await startServingLab([0, 500, -250]);
});
afterAll(() => lab.close());

it('gives a candidate what each step of a rollout asks for', async () => {
  await lab.deploy(1);
  await lab.serving.setTraffic(MODEL, new Map([[1, 100]]));
  await lab.deploy(2);
  const table = new Table({
    style: STYLE,
    head: ['candidate asked for', 'requests', 'candidate', 'champion', 'failed'],
  });
  for (const percent of [5, 25, 50, 100]) {
    const weights = new Map([
      [2, percent],
      [1, 100 - percent],
    ]);
    await lab.serving.setTraffic(MODEL, weights);
    const replies = [];
    for (let i = 0; i < REQUESTS; i++) replies.push(await ask(lab.serving.url));
    const counts = countByVersion(replies);
    const failed = failures(replies);
    table.push([`${percent} %`, REQUESTS, counts['2'] ?? 0, counts['1'] ?? 0, failed.length]);
    expect(failed).toEqual([]);
    // Round robin: a gateway that restarts in between may be off by one.
    expect(Math.abs((counts['2'] ?? 0) - (percent / 100) * REQUESTS)).toBeLessThanOrEqual(1);
  }
  process.stdout.write(`${table.toString()}\n`);
});

it('loses no request while weights change, versions come and go, and pods are replaced', async () => {
  const load = startLoad(lab.serving.url, 4);
  const steps: [string, number][] = [];
  const step = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    await work();
    steps.push([what, load.replies.length]);
  };
  for (let round = 0; round < 2; round++) {
    await step('version 3 comes', () => lab.deploy(3));
    for (const percent of [5, 25, 50, 100]) {
      await step(`version 3 has ${percent} %`, () =>
        lab.serving.setTraffic(
          MODEL,
          new Map([
            [3, percent],
            [2, 100 - percent],
          ]),
        ),
      );
    }
    await step('back to version 2', () =>
      lab.serving.setTraffic(
        MODEL,
        new Map([
          [2, 100],
          [3, 0],
        ]),
      ),
    );
    await step('version 3 goes', () => lab.serving.removeVersion(MODEL, 3));
  }
  await step('the only pod of version 2 is replaced', () => replacePods(2));
  await load.stop();
  const table = new Table({ style: STYLE, head: ['after', 'requests so far'] });
  table.push(...steps);
  process.stdout.write(
    `${table.toString()}\nfailed: ${failures(load.replies).length} of ${load.replies.length}\n`,
  );
  expect(failures(load.replies)).toEqual([]);
});

/** A change of the predictor's image or resources. */
async function replacePods(version: number): Promise<void> {
  const before = lab.processes(version);
  const changed = structuredClone(lab.config);
  changed.serving.modelThreads = 2;
  await lab.withConfig(changed).ensureVersion(await lab.served(version), never);
  await eventually('another pod', () =>
    Promise.resolve(
      lab.processes(version).length === 1 && !lab.processes(version).some((pid) => before.includes(pid))
        ? true
        : undefined,
    ),
  );
}

it('loses no request while its pods are evicted, which happens one by one', async () => {
  const changed = structuredClone(lab.config);
  changed.serving.autoscaling = { by: 'none', replicas: 2 };
  await lab.withConfig(changed).ensureVersion(await lab.served(2), never);
  const pods = await lab.readyPods(2, 2);
  const load = startLoad(lab.serving.url, 4);
  const [first, second] = pods;
  expect([await evict(first), await evict(second)]).toEqual(['evicted', 'refused']);
  await eventually('the eviction of the second', async () =>
    (await evict(second)) === 'evicted' ? true : undefined,
  );
  const others = await lab.readyPods(2, 2);
  await load.stop();
  expect(others.filter((name) => pods.includes(name))).toEqual([]);
  process.stdout.write(`failed: ${failures(load.replies).length} of ${load.replies.length}\n`);
  expect(failures(load.replies)).toEqual([]);
});

/** Evicts a pod like `kubectl drain`. */
async function evict(pod = ''): Promise<'evicted' | 'refused'> {
  const path = `/api/v1/namespaces/${lab.namespace}/pods/${pod}/eviction`;
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: pod } };
  try {
    await kubectlWith(JSON.stringify(eviction), 'create', '--raw', path, '-f', '-');
    return 'evicted';
  } catch (error) {
    if (/disruption budget/.test((error as Error).message)) return 'refused';
    throw error;
  }
}

it('leaves nothing of a model whose versions are all removed', async () => {
  await lab.serving.setTraffic(MODEL, new Map());
  for (const { version } of await lab.serving.observe(MODEL)) await lab.serving.removeVersion(MODEL, version);
  expect(await lab.serving.observe(MODEL)).toEqual([]);
  expect(await lab.leftovers()).toEqual([]);
});
