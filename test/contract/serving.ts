/** Contract of every adapter of the port Serving. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Serving } from '../../infra/platform.ts';
import { eventually } from '../predictor/processes.ts';
import { expectedP50, raw } from '../predictor/requests.ts';

const MODEL = 'sales-forecast';

export interface ServingUnderTest {
  serving: Serving;
  /** Model folder of a version; its forecasts are those of test/predictor/write_model.py with `offsetOf(version)`. */
  modelUri(version: number): string;
  /** SHA-256 of its model.onnx. */
  modelHash(version: number): Promise<string>;
  offsetOf(version: number): number;
  /** Ids of the processes that serve the version now. */
  processes(version: number): Promise<number[]>;
  /** Ends them as a crash does. */
  crash(version: number): Promise<void>;
  /** Whether another version answers the requests of one whose processes all died at once. */
  survivesCrashes: boolean;
  /** Ends the router as a crash does, and returns when it answers again. */
  crashRouter(): Promise<void>;
  /** A second adapter on the same platform, as another process would make it. */
  another(): Serving;
  close(): Promise<void>;
}

interface Forecast {
  status: number;
  version: string | null;
  p50: number | undefined;
}

const asked = { store: 1, dept: 3, horizon: 1 };

async function forecast(serving: Serving, pin?: number): Promise<Forecast> {
  const response = await fetch(`${serving.url}/v1/models/${MODEL}:predict`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(pin === undefined ? {} : { 'x-shelfcast-version': String(pin) }),
    },
    body: JSON.stringify({ instances: [{ ...asked, features: raw() }] }),
  });
  const body = (await response.json()) as { predictions?: { p50: number }[] };
  return {
    status: response.status,
    version: response.headers.get('x-shelfcast-version'),
    p50: body.predictions?.[0]?.p50,
  };
}

/** Asks without pause, four at a time, until stopped; returns all answers. */
function load(serving: Serving): { stop(): Promise<Forecast[]> } {
  let running = true;
  const answers: Forecast[] = [];
  const client = async (): Promise<void> => {
    while (running) answers.push(await forecast(serving));
  };
  const clients = [client(), client(), client(), client()];
  return {
    async stop() {
      running = false;
      await Promise.all(clients);
      return answers;
    },
  };
}

/** @param patience what every time limit is multiplied by: processes start slower on some platforms than on others. */
export function servingContract(name: string, make: () => Promise<ServingUnderTest>, patience = 1): void {
  const timeout = 90_000 * patience;
  describe(`Serving: ${name}`, { timeout }, () => {
    let platform: ServingUnderTest;
    let serving: Serving;
    const never = new AbortController().signal;

    beforeAll(async () => {
      platform = await make();
      serving = platform.serving;
    }, timeout);

    afterAll(() => platform.close(), timeout);

    const ensure = async (version: number, by = serving): Promise<void> =>
      by.ensureVersion(
        {
          modelName: MODEL,
          version,
          modelUri: platform.modelUri(version),
          modelHash: await platform.modelHash(version),
        },
        never,
      );

    const ready = (version: number): Promise<true> =>
      eventually(
        `version ${version} ready`,
        async () =>
          (await serving.observe(MODEL)).some((one) => one.version === version && one.ready)
            ? true
            : undefined,
        30_000 * patience,
      );

    const expected = (version: number): number => expectedP50(asked, raw(), platform.offsetOf(version));

    const weights = async (): Promise<Record<number, number>> =>
      Object.fromEntries((await serving.observe(MODEL)).map((one) => [one.version, one.weightPercent]));

    it('serves nothing at first', async () => {
      expect(await serving.observe(MODEL)).toEqual([]);
    });

    it('creates a version once for repeated and concurrent calls', async () => {
      await Promise.all([ensure(1), ensure(1)]);
      await ready(1);
      const before = await platform.processes(1);
      expect(before).toHaveLength(1);
      await ensure(1);
      await ensure(1, platform.another());
      expect(await platform.processes(1)).toEqual(before);
      expect(await serving.observe(MODEL)).toEqual([{ version: 1, ready: true, weightPercent: 0 }]);
    });

    it('gives a version its traffic, and a new version none', async () => {
      await serving.setTraffic(MODEL, new Map([[1, 100]]));
      await ensure(2);
      await ready(2);
      expect(await weights()).toEqual({ 1: 100, 2: 0 });
      expect(await forecast(serving)).toEqual({ status: 200, version: '1', p50: expected(1) });
      expect(await forecast(serving, 2)).toEqual({ status: 200, version: '2', p50: expected(2) });
    });

    it.each([
      ['weights that do not add up to 100', [[1, 90]], 'add up to 90'],
      [
        'a version that is not served',
        [
          [1, 50],
          [9, 50],
        ],
        'version 9',
      ],
      [
        'a fraction',
        [
          [1, 99.5],
          [2, 0.5],
        ],
        'whole percent',
      ],
      [
        'less than nothing',
        [
          [1, 110],
          [2, -10],
        ],
        'whole percent',
      ],
    ] as const)('refuses %s and changes nothing', async (_name, wrong, words) => {
      await expect(serving.setTraffic(MODEL, new Map(wrong))).rejects.toThrow(words);
      expect(await weights()).toEqual({ 1: 100, 2: 0 });
    });

    it('gives each version exactly its share of 1,000 requests', async () => {
      await serving.setTraffic(
        MODEL,
        new Map([
          [1, 90],
          [2, 10],
        ]),
      );
      const answers: Forecast[] = [];
      for (let i = 0; i < 1_000; i++) answers.push(await forecast(serving));
      expect(answers.filter(({ version, p50 }) => version === '2' && p50 === expected(2))).toHaveLength(100);
      expect(answers.filter(({ version, p50 }) => version === '1' && p50 === expected(1))).toHaveLength(900);
    });

    it('refuses to remove a version that has traffic', async () => {
      await expect(serving.removeVersion(MODEL, 2)).rejects.toThrow('has 10 % of the traffic');
      expect(await weights()).toEqual({ 1: 90, 2: 10 });
    });

    it('fails no request while weights change, versions come, go and (where promised) crash', async () => {
      const crash = async (version: number): Promise<void> => {
        if (!platform.survivesCrashes) return;
        await platform.crash(version);
        await ready(version);
      };
      const requests = load(serving);
      await serving.setTraffic(
        MODEL,
        new Map([
          [1, 50],
          [2, 50],
        ]),
      );
      await crash(2);
      await ensure(3);
      await ready(3);
      await serving.setTraffic(
        MODEL,
        new Map([
          [2, 50],
          [3, 50],
        ]),
      );
      await serving.removeVersion(MODEL, 1);
      await crash(3);
      await serving.setTraffic(
        MODEL,
        new Map([
          [2, 0],
          [3, 100],
        ]),
      );
      const answers = await requests.stop();
      expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
      for (const version of [1, 2, 3]) {
        const own = answers.filter((answer) => answer.version === String(version));
        expect(own.length).toBeGreaterThan(0);
        expect(own.filter(({ p50 }) => p50 !== expected(version))).toEqual([]);
      }
      expect(await platform.processes(1)).toEqual([]);
      expect(await weights()).toEqual({ 2: 0, 3: 100 });
    });

    it('restarts a version that crashed', async () => {
      await platform.crash(3);
      await ready(3);
      expect(await forecast(serving, 3)).toEqual({ status: 200, version: '3', p50: expected(3) });
      expect(await weights()).toEqual({ 2: 0, 3: 100 });
    });

    it('keeps versions and weights when the router crashes', async () => {
      await serving.setTraffic(
        MODEL,
        new Map([
          [2, 30],
          [3, 70],
        ]),
      );
      const before = [await platform.processes(2), await platform.processes(3)];
      await platform.crashRouter();
      expect(await weights()).toEqual({ 2: 30, 3: 70 });
      expect([await platform.processes(2), await platform.processes(3)]).toEqual(before);
      expect((await forecast(serving)).status).toBe(200);
    });

    it('removes a version, also twice', async () => {
      await serving.setTraffic(MODEL, new Map([[3, 100]]));
      await serving.removeVersion(MODEL, 2);
      await serving.removeVersion(MODEL, 2);
      await serving.removeVersion(MODEL, 77);
      expect(await platform.processes(2)).toEqual([]);
      expect(await weights()).toEqual({ 3: 100 });
      expect((await forecast(serving, 2)).status).toBe(404);
    });
  });
}
