/** The predictor's HTTP server around a model and features that fail in ways that real ones rarely do. */
import { once } from 'node:events';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { errorBodySchema, predictResponseSchema } from '../../contracts/predict.ts';
import { createPredictorMetrics } from '../../predictor/metrics.ts';
import type { PredictorDependencies } from '../../predictor/server.ts';
import { createPredictor } from '../../predictor/server.ts';
import { manifestOf } from './model-manifest.ts';

const manifest = manifestOf(
  [{ name: 'lag_1', view: 'sales_history', column: 'lag_1' }],
  [0.025, 0.1, 0.5, 0.9, 0.975],
);

let app: ReturnType<typeof createPredictor>;
afterEach(() => app.close());

/** Quantiles of row r: 100 r + 1 to 100 r + 5. */
const numbered: PredictorDependencies['model']['predict'] = ({ store }) =>
  Promise.resolve(
    Float32Array.from({ length: 5 * store.length }, (_, i) => 100 * Math.floor(i / 5) + 1 + (i % 5)),
  );

function start(
  predict = numbered,
  read: PredictorDependencies['features']['read'] = (rows) =>
    Promise.resolve(rows.map(() => ({ origin: '2012-01-27', targetWeek: '2012-02-17', horizon: 3 }))),
  changed: Partial<typeof manifest> = {},
  seriesOf: PredictorDependencies['totals']['seriesOf'] = () => Promise.reject(new Error('asked for totals')),
): void {
  app = createPredictor({
    name: 'm',
    version: '3',
    model: { manifest: { ...manifest, ...changed }, predict, close: () => Promise.resolve() },
    seriesNumbers: {
      numbersOf: (instances) => {
        const ones = instances.map(() => 1);
        return Promise.resolve({ stores: ones, depts: ones });
      },
      numberOf: () => Promise.resolve(1),
      idOf: (_of, number) => number,
      load: () => Promise.resolve(),
    },
    totals: { seriesOf },
    features: { read },
    readiness: { check: () => Promise.resolve({ ready: true, reason: '' }), drain: () => undefined },
    metrics: createPredictorMetrics('m', '3'),
    logLevel: 'silent',
  });
}

async function post(payload: string | object, url = '/v1/models/m:predict'): Promise<[number, unknown]> {
  const headers = { 'content-type': 'application/json' };
  const response = await app.inject({ method: 'POST', url, payload, headers });
  return [response.statusCode, response.json()];
}

const ONE = { instances: [{ store: 1, dept: 2, horizon: 3 }] };

describe('answers', () => {
  it('has the unit of the model, and none where the sales are in US dollars', async () => {
    start();
    expect((await post(ONE))[1]).not.toHaveProperty('unit');
    start(numbered, undefined, { unit: 'calls' });
    expect(predictResponseSchema.parse((await post(ONE))[1]).unit).toBe('calls');
  });

  it('marks forecasts of series whose history is estimated', async () => {
    const features = ['lag_1', 'weeks_since_first'].map((name) => ({
      ...{ name, view: 'sales_history' as const, column: name },
    }));
    const instance = (age: number | null) => ({
      ...{ store: 1, dept: 2, horizon: 3, features: { lag_1: 7, weeks_since_first: age } },
    });
    start(numbered, undefined, { features });
    const [, body] = await post({ instances: [instance(null), instance(0)] });
    const marks = predictResponseSchema.parse(body).predictions.map(({ coldStart }) => coldStart);
    expect(marks).toEqual([true, undefined]);
  });

  it('finds each quantile by its level, not by its position', async () => {
    start();
    const [status, body] = await post({ instances: [...ONE.instances, ...ONE.instances] });
    expect(status).toBe(200);
    expect(predictResponseSchema.parse(body).predictions).toMatchObject([
      { p10: 2, p50: 3, forecast: 3, p90: 4 },
      { p10: 102, p50: 103, forecast: 103, p90: 104 },
    ]);
  });

  it.each([
    ['p10', 1],
    ['p50', 2],
    ['p90', 3],
  ])('refuses an answer whose %s is not a number', async (_name, column) => {
    start(() => Promise.resolve(Float32Array.from({ length: 5 }, (_, i) => (i === column ? NaN : 1))));
    expect(await post(ONE)).toMatchObject([
      500,
      { error: { code: 'NON_FINITE_FORECAST', store: 1, dept: 2 } },
    ]);
  });
});

describe('refusals', () => {
  it('sums no more totals when the client has left', async () => {
    const client = new AbortController();
    let closed: Promise<unknown> = Promise.resolve();
    const asked: number[] = [];
    const series = [{ store: 1, dept: 1, day: 15_366, storeDay: 15_366 }];
    const levels = { total: { coverage80: [1, 1, 1], coverage95: [1, 1, 1] } };
    start(numbered, undefined, { levels }, async (_total, instance) => {
      asked.push(instance);
      client.abort();
      await closed;
      return series;
    });
    app.addHook('onRequest', (_request, reply, done) => {
      closed = once(reply.raw, 'close');
      done();
    });
    const ended = new Promise<void>((resolve) => {
      app.addHook('onSend', (_request, _reply, payload, done) => {
        resolve();
        done(null, payload);
      });
    });
    const address = await app.listen({ port: 0, host: '127.0.0.1' });
    const total = { level: 'total', horizon: 1 };
    const body = JSON.stringify({ instances: [total, total, total] });
    const headers = { 'content-type': 'application/json' };
    const { signal } = client;
    await expect(
      fetch(`${address}/v1/models/m:predict`, { method: 'POST', headers, body, signal }),
    ).rejects.toThrow();
    await ended;
    expect(asked).toEqual([0]);
  });

  it('reports that the model failed', async () => {
    start(() => Promise.reject(new Error('a shape does not fit')));
    expect(await post(ONE)).toEqual([
      500,
      {
        error: {
          code: 'INFERENCE_FAILED',
          message: 'The model failed on this request: a shape does not fit',
        },
      },
    ]);
  });

  it('writes details of internal errors only to its log', async () => {
    start(numbered, () => Promise.reject(new TypeError('x is not a function')));
    const [status, body] = await post(ONE);
    expect([status, errorBodySchema.parse(body).error]).toMatchObject([500, { code: 'INTERNAL' }]);
    expect(JSON.stringify(body)).not.toContain('x is not a function');
  });

  it('refuses a path that cannot be decoded like other errors', async () => {
    start();
    const [status, body] = await post(ONE, '/v1/models/%zz:predict');
    expect([status, errorBodySchema.parse(body).error]).toMatchObject([400, { code: 'BAD_REQUEST' }]);
  });

  it('answers generated JSON, and text that is no JSON, with a documented code below 500', async () => {
    start();
    const nested = fc.nat(20_000).map((depth) => '['.repeat(depth) + ']'.repeat(depth));
    const json = fc.json({ maxDepth: 6 });
    const wrapped = fc
      .tuple(fc.oneof(json, nested), fc.constantFrom('store', 'features', 'horizon', '__proto__'))
      .map(([value, key]) => `{"instances":[{"store":1,"dept":1,"horizon":1,"${key}":${value}}]}`);
    const text = fc.oneof(json, nested, wrapped, fc.string());
    await fc.assert(
      fc.asyncProperty(text, async (body) => {
        const [status, answer] = await post(body);
        if (status === 200) predictResponseSchema.parse(answer);
        else {
          expect(status).toBeLessThan(500);
          errorBodySchema.parse(answer);
        }
      }),
      { numRuns: 150 },
    );
  });
});
