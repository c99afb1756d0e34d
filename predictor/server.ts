/** The predictor's HTTP server: KServe's v1 protocol, health and metrics, described in docs/predictor.md. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { AGE_FEATURE, SERVED_QUANTILES } from '../contracts/model.ts';
import type { ModelManifest } from '../contracts/model.ts';
import { VERSION_HEADER } from '../contracts/predict.ts';
import type {
  PredictResponse,
  Prediction,
  ReadyResponse,
  TotalPrediction,
  TotalsResponse,
} from '../contracts/predict.ts';
import { shownId } from '../contracts/series-id.ts';
import { createApp } from './app.ts';
import { errorBody, faultOf, refusalOf, RequestError, toFault } from './errors.ts';
import type { InstanceFault } from './errors.ts';
import { parseRequest } from './instances.ts';
import type { AskedTotal, Instance } from './instances.ts';
import type { PredictorMetrics } from './metrics.ts';
import type { Model } from './model.ts';
import { isoDate } from './online-features.ts';
import type { ForecastWeek, OnlineFeatures } from './online-features.ts';
import type { Readiness } from './readiness.ts';
import type { SeriesNumberReader, SeriesNumbers } from './series-numbers.ts';
import { chunksOf, rowsOf, toTotal } from './totals.ts';
import type { Sums, TotalReader, TotalRow } from './totals.ts';

const BODY_LIMIT_BYTES = 16 * 1024 * 1024;

export interface PredictorDependencies {
  name: string;
  version: string;
  model: Model;
  seriesNumbers: SeriesNumberReader;
  features: OnlineFeatures;
  totals: TotalReader;
  readiness: Readiness;
  metrics: PredictorMetrics;
  logLevel: string;
}

/** Fills the matrix from raw features and from Feast. Returns the weeks of each instance, null for raw features, or its error. */
async function collectFeatures(
  dependencies: PredictorDependencies,
  instances: Instance[],
  { stores, depts }: SeriesNumbers,
  matrix: Float64Array,
): Promise<(ForecastWeek | RequestError | null)[]> {
  const width = dependencies.model.manifest.features.length;
  const weeks = new Array<ForecastWeek | RequestError | null>(instances.length).fill(null);
  const fromFeast = instances.flatMap((asked, instance) => {
    const { horizon, features } = asked;
    if (features === undefined) {
      return { instance, store: stores[instance] as number, dept: depts[instance] as number, horizon, asked };
    }
    matrix.set(features, instance * width);
    return [];
  });
  if (fromFeast.length > 0) {
    const stop = dependencies.metrics.featureReadSeconds.startTimer();
    const read = await dependencies.features.read(fromFeast, matrix).finally(stop);
    fromFeast.forEach(({ instance }, i) => {
      weeks[instance] = read[i] ?? null;
    });
  }
  return weeks;
}

/** Returns a function from a row of the graph's output to its p10, p50 and p90, which throws RequestError 500 for any other number. */
function servedQuantiles(
  { quantiles: levels }: ModelManifest,
  quantiles: Float32Array,
): (row: number, instance: number, of: Pick<Prediction, 'store' | 'dept' | 'horizon'>) => Sums {
  const [low = 0, middle = 0, high = 0] = SERVED_QUANTILES.map((level) => levels.indexOf(level));
  const at = (row: number, column: number): number => quantiles[row * levels.length + column] ?? NaN;
  return (row, instance, { store, dept, horizon }) => {
    const [p10, p50, p90] = [at(row, low), at(row, middle), at(row, high)];
    if (Number.isFinite(p10 + p50 + p90)) return [p10, p50, p90];
    throw new RequestError(
      500,
      'NON_FINITE_FORECAST',
      `Instance ${instance}: the model answered ${p10}, ${p50}, ${p90} for store ${shownId(store)}, dept ${shownId(dept)}, horizon ${horizon}; ` +
        'this model version should be taken out of service.',
      { instance, store, dept },
    );
  };
}

/** Runs the graph. @throws RequestError 500 */
async function infer(
  { model, metrics }: PredictorDependencies,
  { stores, depts }: SeriesNumbers,
  horizons: readonly number[],
  features: Float64Array,
): Promise<Float32Array> {
  const stop = metrics.inferenceSeconds.startTimer();
  return model
    .predict({
      features,
      store: BigInt64Array.from(stores, BigInt),
      dept: BigInt64Array.from(depts, BigInt),
      horizon: BigInt64Array.from(horizons, BigInt),
    })
    .catch((cause: unknown) => {
      const sentence = `The model failed on this request: ${(cause as Error).message}`;
      throw new RequestError(500, 'INFERENCE_FAILED', sentence, {}, { cause });
    })
    .finally(stop);
}

/** Returns one prediction per row of the graph's output. @throws RequestError 500 when a value is not finite */
function toPredictions(
  dependencies: PredictorDependencies,
  instances: Instance[],
  horizons: readonly number[],
  weeks: (ForecastWeek | null)[],
  quantiles: Float32Array,
  matrix: Float64Array,
): Prediction[] {
  const { manifest } = dependencies.model;
  const served = servedQuantiles(manifest, quantiles);
  const age = manifest.features.findIndex(({ name }) => name === AGE_FEATURE);
  return instances.map(({ index, store, dept }, row) => {
    const horizon = horizons[row] as number;
    const [p10, p50, p90] = served(row, index, { store, dept, horizon });
    const week = weeks[row] ?? null;
    return {
      store,
      dept,
      horizon,
      origin: week?.origin ?? null,
      targetWeek: week?.targetWeek ?? null,
      forecast: p50,
      p10,
      p50,
      p90,
      ...(age !== -1 && Number.isNaN(matrix[row * manifest.features.length + age]) && { coldStart: true }),
    };
  });
}

function explain(dependencies: PredictorDependencies, predictions: Prediction[], matrix: Float64Array): void {
  const { features } = dependencies.model.manifest;
  predictions.forEach((prediction, row) => {
    prediction.features = Object.fromEntries(
      features.map(({ name }, column) => {
        const value = matrix[row * features.length + column] ?? NaN;
        return [name, Number.isNaN(value) ? null : value];
      }),
    );
  });
}

/** Options of a request. */
interface PredictOptions {
  /** Whether the answer has the features. */
  explained: boolean;
  /** Whether instances without a fault are answered beside faulty ones. */
  partial: boolean;
}

/** Instances with their numbers, features and weeks. */
interface Collected {
  instances: Instance[];
  numbers: SeriesNumbers;
  weeks: (ForecastWeek | null)[];
  matrix: Float64Array;
}

/** Reads what the graph needs of the instances that have no fault, and adds the faults of the others. */
async function collect(
  dependencies: PredictorDependencies,
  asked: Instance[],
  faults: InstanceFault[],
): Promise<Collected> {
  const width = dependencies.model.manifest.features.length;
  const matrix = new Float64Array(asked.length * width).fill(NaN);
  const numbers = await dependencies.seriesNumbers.numbersOf(asked);
  const found = await collectFeatures(dependencies, asked, numbers, matrix);
  const collected: Collected = { instances: [], numbers: { stores: [], depts: [] }, weeks: [], matrix };
  asked.forEach((instance, row) => {
    const week = found[row] ?? null;
    if (week instanceof RequestError) {
      faults.push({ instance: instance.index, error: week });
      return;
    }
    matrix.copyWithin(collected.instances.length * width, row * width, (row + 1) * width);
    collected.instances.push(instance);
    collected.numbers.stores.push(numbers.stores[row] as number);
    collected.numbers.depts.push(numbers.depts[row] as number);
    collected.weeks.push(week);
  });
  return { ...collected, matrix: matrix.subarray(0, collected.instances.length * width) };
}

async function predictSeries(
  dependencies: PredictorDependencies,
  asked: Instance[],
  { explained, partial }: PredictOptions,
  faults: InstanceFault[],
): Promise<Prediction[]> {
  const { metrics } = dependencies;
  const { instances, numbers, weeks, matrix } = await collect(dependencies, asked, faults);
  if (instances.length === 0 || (faults.length > 0 && !partial)) return [];
  const horizons = instances.map(({ horizon }, row) => weeks[row]?.horizon ?? (horizon as number));
  const quantiles = await infer(dependencies, numbers, horizons, matrix);
  const predictions = toPredictions(dependencies, instances, horizons, weeks, quantiles, matrix);
  if (partial) predictions.forEach((prediction, row) => (prediction.instance = instances[row]?.index));
  if (explained) explain(dependencies, predictions, matrix);
  metrics.instances.inc(instances.length);
  return predictions;
}

/** Adds the quantiles of the series to the sums of a total. @throws RequestError as for single series, 503 when new weeks came meanwhile */
async function addSeries(
  dependencies: PredictorDependencies,
  rows: TotalRow[],
  { total, targetDay }: { total: number; targetDay: number },
  sums: Sums,
): Promise<void> {
  const { model, metrics, features, seriesNumbers } = dependencies;
  const matrix = new Float64Array(rows.length * model.manifest.features.length).fill(NaN);
  const asked = rows.map(({ store, dept, horizon }, instance) => {
    const ids = { store: seriesNumbers.idOf('store', store), dept: seriesNumbers.idOf('dept', dept) };
    return { instance, store, dept, horizon, asked: { ...ids, index: total, targetDay } };
  });
  const stop = metrics.featureReadSeconds.startTimer();
  const weeks = (await features.read(asked, matrix).finally(stop)).map((week) => {
    if (week instanceof RequestError) throw week;
    return week;
  });
  if (rows.some(({ day }, row) => weeks[row]?.origin !== isoDate(day)))
    throw new RequestError(
      503,
      'FEATURES_UNAVAILABLE',
      `Instance ${total}: new weeks were materialized while the total was summed; try again.`,
      { instance: total },
    );
  const numbers = { stores: rows.map(({ store }) => store), depts: rows.map(({ dept }) => dept) };
  const horizons = weeks.map(({ horizon }) => horizon);
  const served = servedQuantiles(model.manifest, await infer(dependencies, numbers, horizons, matrix));
  asked.forEach(({ asked: { store, dept } }, row) => {
    served(row, total, { store, dept, horizon: horizons[row] as number }).forEach((value, quantile) => {
      sums[quantile] = (sums[quantile] as number) + value;
    });
  });
  metrics.instances.inc(rows.length);
}

async function predictTotals(
  dependencies: PredictorDependencies,
  totals: AskedTotal[],
  partial: boolean,
  faults: InstanceFault[],
  signal: AbortSignal,
): Promise<TotalPrediction[]> {
  const { manifest } = dependencies.model;
  let count = 0;
  const predictTotal = async (total: AskedTotal): Promise<TotalPrediction> => {
    const { index } = total;
    const series = await dependencies.totals.seriesOf(total, index, signal);
    const plan = rowsOf(total, series, manifest.horizonWeeks);
    const sums: Sums = [0, 0, 0];
    for (const chunk of chunksOf(plan.rows, count)) {
      signal.throwIfAborted();
      await addSeries(dependencies, chunk, { total: index, targetDay: plan.targetDay }, sums);
    }
    count += plan.rows.length;
    return { ...toTotal(manifest, total, index, plan, sums), ...(partial ? { instance: index } : {}) };
  };
  const predictions: TotalPrediction[] = [];
  for (const total of totals) {
    signal.throwIfAborted();
    try {
      predictions.push(await predictTotal(total));
    } catch (error) {
      faults.push({ instance: total.index, error: faultOf(error) });
      // A total takes queries: where one fault refuses the request, the others are not asked for.
      if (!partial) break;
    }
  }
  return predictions;
}

async function predict(
  dependencies: PredictorDependencies,
  body: unknown,
  options: PredictOptions,
  signal: AbortSignal,
): Promise<PredictResponse | TotalsResponse> {
  const { manifest } = dependencies.model;
  const { instances, totals, faults, ignoredFeatures } = parseRequest(body, manifest);
  const { explained, partial } = options;
  if (faults.length > 0 && !partial) throw refusalOf(faults);
  if (explained && totals.length > 0)
    throw new RequestError(
      400,
      'INVALID_REQUEST',
      'Totals have no features of their own; ask for series with "explain".',
    );
  const about = {
    modelName: dependencies.name,
    modelVersion: dependencies.version,
    ...(manifest.unit === undefined ? {} : { unit: manifest.unit }),
    ...(ignoredFeatures.length > 0 ? { ignoredFeatures } : {}),
  };
  const predictions =
    totals.length > 0
      ? await predictTotals(dependencies, totals, partial, faults, signal)
      : await predictSeries(dependencies, instances, options, faults);
  faults.sort((a, b) => a.instance - b.instance);
  if (faults.length > 0 && (!partial || predictions.length === 0)) throw refusalOf(faults);
  return {
    predictions,
    ...(faults.length > 0 ? { faults: faults.map(toFault) } : {}),
    ...about,
  } as PredictResponse | TotalsResponse;
}

/** Refuses requests for another version: a gateway without a rule for the pinned version sends them to any version. */
function requireVersion(dependencies: PredictorDependencies, pin: string | string[] | undefined): void {
  if (pin === undefined || pin === dependencies.version) return;
  throw new RequestError(
    404,
    'VERSION_NOT_FOUND',
    `The header ${VERSION_HEADER} asks for version ${String(pin)} of "${dependencies.name}", which is not served; this is version ${dependencies.version}.`,
  );
}

function requireModel(dependencies: PredictorDependencies, name: string): void {
  if (name === dependencies.name) return;
  throw new RequestError(
    404,
    'MODEL_NOT_FOUND',
    `There is no model "${name}" here; this server answers for "${dependencies.name}".`,
  );
}

function refuseOther(parameter: string, value: unknown, only: string): void {
  if (value === undefined || value === only) return;
  throw new RequestError(400, 'INVALID_REQUEST', `The query parameter "${parameter}" can only be "${only}".`);
}

function addPredict(app: FastifyInstance, dependencies: PredictorDependencies): void {
  const { metrics } = dependencies;
  app.post<{ Params: { target: string }; Querystring: { explain?: unknown; partial?: unknown } }>(
    '/v1/models/:target',
    {
      onRequest: (_request, reply, done) => {
        const stop = metrics.requestSeconds.startTimer();
        reply.raw.once('close', () => {
          stop();
          metrics.requests.inc({ status: String(reply.statusCode), code: reply.errorCode ?? 'OK' });
        });
        done();
      },
      handler: (request, reply) => {
        const [, name, verb] = /^(.*?)(:[^:]*)?$/.exec(request.params.target) ?? [];
        requireModel(dependencies, name ?? '');
        requireVersion(dependencies, request.headers[VERSION_HEADER]);
        if (verb !== ':predict') {
          throw new RequestError(
            404,
            'NOT_FOUND',
            `A model answers POST to /v1/models/${dependencies.name}:predict only.`,
          );
        }
        const { explain: asked, partial } = request.query;
        refuseOther('explain', asked, 'features');
        refuseOther('partial', partial, 'true');
        const left = new AbortController();
        reply.raw.once('close', () => {
          left.abort(new RequestError(499, 'BAD_REQUEST', 'The client has left.'));
        });
        const options = { explained: asked !== undefined, partial: partial !== undefined };
        return predict(dependencies, request.body, options, left.signal);
      },
    },
  );
}

function addStatus(app: FastifyInstance, dependencies: PredictorDependencies): void {
  app.get('/v1/models', () => ({ models: [dependencies.name] }));
  app.get<{ Params: { target: string } }>('/v1/models/:target', async (request, reply) => {
    requireModel(dependencies, request.params.target);
    requireVersion(dependencies, request.headers[VERSION_HEADER]);
    const { ready } = await dependencies.readiness.check();
    return reply.code(ready ? 200 : 503).send({ name: dependencies.name, ready });
  });
  app.get('/healthz', () => ({ live: true }));
  app.get('/readyz', async (_request, reply) => {
    const { ready, reason } = await dependencies.readiness.check();
    const state: ReadyResponse = {
      ready,
      modelName: dependencies.name,
      modelVersion: dependencies.version,
      ...(ready ? {} : { reason }),
    };
    return reply.code(ready ? 200 : 503).send(state);
  });
  app.get('/metrics', async (_request, reply) =>
    reply.type(dependencies.metrics.registry.contentType).send(await dependencies.metrics.registry.metrics()),
  );
}

declare module 'fastify' {
  interface FastifyReply {
    /** Code of the error that was sent, for the metrics; null when the request was answered. */
    errorCode: string | null;
  }
}

function refuse(error: RequestError, reply: FastifyReply): FastifyReply {
  reply.errorCode = error.code;
  return reply.code(error.status).send(errorBody(error));
}

/** Creates the server; the caller makes it listen. */
export function createPredictor(dependencies: PredictorDependencies): FastifyInstance {
  const { name, version, logLevel } = dependencies;
  const logFields = { model: name, version };
  const app = createApp({ logLevel, logFields, bodyLimitBytes: BODY_LIMIT_BYTES, refuse });
  app.removeContentTypeParser('text/plain');
  app.decorateReply('errorCode', null);
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header(VERSION_HEADER, version);
    done();
  });
  addPredict(app, dependencies);
  addStatus(app, dependencies);
  return app;
}
