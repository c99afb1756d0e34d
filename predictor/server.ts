/** The predictor's HTTP server: KServe's v1 protocol, health and metrics, described in docs/predictor.md. */
import Fastify, { LogController } from 'fastify';
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify';
import { VERSION_HEADER } from '../contracts/predict.ts';
import type { PredictResponse, Prediction, ReadyResponse } from '../contracts/predict.ts';
import { answerOversizedBodies } from './request-body.ts';
import { RequestError, errorBody, fromFramework } from './errors.ts';
import { parseRequest } from './instances.ts';
import type { Instance } from './instances.ts';
import type { PredictorMetrics } from './metrics.ts';
import type { Model } from './model.ts';
import type { ForecastWeek, OnlineFeatures } from './online-features.ts';
import type { Readiness } from './readiness.ts';

const BODY_LIMIT_BYTES = 16 * 1024 * 1024;

export interface PredictorParts {
  name: string;
  version: string;
  model: Model;
  features: OnlineFeatures;
  readiness: Readiness;
  metrics: PredictorMetrics;
  logLevel: string;
}

/** Fills the matrix from raw features and from Feast; null weeks belong to raw instances. */
async function gather(
  parts: PredictorParts,
  instances: Instance[],
  matrix: Float64Array,
): Promise<(ForecastWeek | null)[]> {
  const width = parts.model.manifest.features.length;
  const weeks = new Array<ForecastWeek | null>(instances.length).fill(null);
  const fromFeast = instances.flatMap(({ store, dept, horizon, features }, instance) => {
    if (features === undefined) return { instance, store, dept, horizon };
    matrix.set(features, instance * width);
    return [];
  });
  if (fromFeast.length > 0) {
    const stop = parts.metrics.featureReadSeconds.startTimer();
    const read = await parts.features.read(fromFeast, matrix).finally(stop);
    fromFeast.forEach(({ instance }, i) => {
      weeks[instance] = read[i] ?? null;
    });
  }
  return weeks;
}

/** Makes one prediction per row of the graph's output; a value that is not finite is refused as the model's fault. */
function answer(
  parts: PredictorParts,
  instances: Instance[],
  weeks: (ForecastWeek | null)[],
  quantiles: Float32Array,
): Prediction[] {
  const levels = parts.model.manifest.quantiles;
  const [low, middle, high] = [0.1, 0.5, 0.9].map((level) => levels.indexOf(level));
  const columns = [low ?? 0, middle ?? 0, high ?? 0];
  return instances.map(({ store, dept, horizon }, row) => {
    const [p10, p50, p90] = columns.map((column) => quantiles[row * levels.length + column] ?? NaN);
    if (p10 === undefined || p50 === undefined || p90 === undefined || !Number.isFinite(p10 + p50 + p90)) {
      throw new RequestError(
        500,
        'NON_FINITE_FORECAST',
        `Instance ${row}: the model answered ${p10}, ${p50}, ${p90} for store ${store}, dept ${dept}, horizon ${horizon}; ` +
          'this model version should be taken out of service.',
        { instance: row, store, dept },
      );
    }
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
    };
  });
}

function explain(parts: PredictorParts, predictions: Prediction[], matrix: Float64Array): void {
  const { features } = parts.model.manifest;
  predictions.forEach((prediction, row) => {
    prediction.features = Object.fromEntries(
      features.map(({ name }, column) => {
        const value = matrix[row * features.length + column] ?? NaN;
        return [name, Number.isNaN(value) ? null : value];
      }),
    );
  });
}

async function predict(parts: PredictorParts, body: unknown, explained: boolean): Promise<PredictResponse> {
  const { model, metrics } = parts;
  const { instances, ignoredFeatures } = parseRequest(body, model.manifest);
  const matrix = new Float64Array(instances.length * model.manifest.features.length).fill(NaN);
  const weeks = await gather(parts, instances, matrix);
  const ids = (key: 'store' | 'dept' | 'horizon'): BigInt64Array =>
    BigInt64Array.from(instances, (instance) => BigInt(instance[key]));
  const stop = metrics.inferenceSeconds.startTimer();
  const quantiles = await model
    .predict({ features: matrix, store: ids('store'), dept: ids('dept'), horizon: ids('horizon') })
    .catch((cause: unknown) => {
      const sentence = `The model failed on this request: ${(cause as Error).message}`;
      throw new RequestError(500, 'INFERENCE_FAILED', sentence, {}, { cause });
    })
    .finally(stop);
  const predictions = answer(parts, instances, weeks, quantiles);
  if (explained) explain(parts, predictions, matrix);
  metrics.instances.inc(instances.length);
  return {
    predictions,
    modelName: parts.name,
    modelVersion: parts.version,
    ...(ignoredFeatures.length > 0 ? { ignoredFeatures } : {}),
  };
}

/** Refuses other versions' requests: a gateway without a rule for the pinned version sends them to any version. */
function requireVersion(parts: PredictorParts, pin: string | string[] | undefined): void {
  if (pin === undefined || pin === parts.version) return;
  throw new RequestError(
    404,
    'VERSION_NOT_FOUND',
    `The header ${VERSION_HEADER} asks for version ${String(pin)} of "${parts.name}", which is not served; this is version ${parts.version}.`,
  );
}

function requireModel(parts: PredictorParts, name: string): void {
  if (name === parts.name) return;
  throw new RequestError(
    404,
    'MODEL_NOT_FOUND',
    `There is no model "${name}" here; this server answers for "${parts.name}".`,
  );
}

function addPredict(app: FastifyInstance, parts: PredictorParts): void {
  const { metrics } = parts;
  app.post<{ Params: { target: string }; Querystring: { explain?: unknown } }>('/v1/models/:target', {
    onRequest: (_request, reply, done) => {
      const stop = metrics.requestSeconds.startTimer();
      reply.raw.once('close', () => {
        stop();
        metrics.requests.inc({ status: String(reply.statusCode), code: reply.errorCode ?? 'OK' });
      });
      done();
    },
    handler: (request) => {
      const [, name, verb] = /^(.*?)(:[^:]*)?$/.exec(request.params.target) ?? [];
      requireModel(parts, name ?? '');
      requireVersion(parts, request.headers[VERSION_HEADER]);
      if (verb !== ':predict') {
        throw new RequestError(
          404,
          'NOT_FOUND',
          `A model answers POST to /v1/models/${parts.name}:predict only.`,
        );
      }
      const asked = request.query.explain;
      if (asked !== undefined && asked !== 'features') {
        throw new RequestError(
          400,
          'INVALID_REQUEST',
          'The query parameter "explain" can only be "features".',
        );
      }
      return predict(parts, request.body, asked === 'features');
    },
  });
}

function addStatus(app: FastifyInstance, parts: PredictorParts): void {
  app.get('/v1/models', () => ({ models: [parts.name] }));
  app.get<{ Params: { target: string } }>('/v1/models/:target', async (request, reply) => {
    requireModel(parts, request.params.target);
    requireVersion(parts, request.headers[VERSION_HEADER]);
    const { ready } = await parts.readiness.check();
    return reply.code(ready ? 200 : 503).send({ name: parts.name, ready });
  });
  app.get('/healthz', () => ({ live: true }));
  app.get('/readyz', async (_request, reply) => {
    const { ready, reason } = await parts.readiness.check();
    const state: ReadyResponse = {
      ready,
      modelName: parts.name,
      modelVersion: parts.version,
      ...(ready ? {} : { reason }),
    };
    return reply.code(ready ? 200 : 503).send(state);
  });
  app.get('/metrics', async (_request, reply) =>
    reply.type(parts.metrics.registry.contentType).send(await parts.metrics.registry.metrics()),
  );
}

declare module 'fastify' {
  interface FastifyReply {
    /** Code of the error that was sent, for the metrics; null when the request was answered. */
    errorCode: string | null;
  }
}

function sendError(parts: PredictorParts, error: RequestError, reply: FastifyReply): FastifyReply {
  if (error.status >= 500)
    reply.log.error({ err: error, model: parts.name, version: parts.version }, error.message);
  reply.errorCode = error.code;
  return reply.code(error.status).send(errorBody(error));
}

/** Creates the server; the caller makes it listen. */
export function createPredictor(parts: PredictorParts): FastifyInstance {
  const app = Fastify({
    logger: { level: parts.logLevel },
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT_BYTES,
    // A request on an open connection is still answered while the server ends.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    // Errors before a route is found, such as a path that cannot be decoded, do not reach the error handler.
    frameworkErrors: (error, request, reply) => {
      sendError(parts, fromFramework(error, request.headers['content-type'], BODY_LIMIT_BYTES), reply);
    },
  });
  answerOversizedBodies(app);
  app.removeContentTypeParser('text/plain');
  app.decorateReply('errorCode', null);
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header(VERSION_HEADER, parts.version);
    done();
  });
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    if (error instanceof RequestError) return sendError(parts, error, reply);
    const refusal = fromFramework(error, request.headers['content-type'], BODY_LIMIT_BYTES);
    if (refusal.status >= 500) request.log.error({ err: error }, error.message);
    return sendError(parts, refusal, reply);
  });
  app.setNotFoundHandler((request, reply) =>
    sendError(
      parts,
      new RequestError(404, 'NOT_FOUND', `Nothing answers ${request.method} ${request.url}.`),
      reply,
    ),
  );
  addPredict(app, parts);
  addStatus(app, parts);
  return app;
}
