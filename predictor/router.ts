/** The weighted router: one public port before all predictors of one machine. The contract is docs/predictor.md. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import replyFrom from '@fastify/reply-from';
import Fastify, { LogController } from 'fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { FAILED_VERSION_HEADER, VERSION_HEADER } from '../contracts/predict.ts';
import { routesSchema } from '../contracts/routes.ts';
import type { Route } from '../contracts/routes.ts';
import { answerOversizedBodies } from './request-body.ts';
import { RequestError, errorBody, fromFramework } from './errors.ts';
import { RouterCounters } from './router-counters.ts';
import type { RouteTable } from './routes.ts';

/** A little above the predictor's own limit, so that the predictor's sentence is the one that is read. */
const BODY_LIMIT_BYTES = 17 * 1024 * 1024;
const ANSWER_TIMEOUT_MS = 60_000;
const CONNECT_TIMEOUT_MS = 2_000;

/** Errors that mean that no byte of an answer came: the request may be sent elsewhere. Forecasts change nothing. */
const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
]);

export interface RouterOptions {
  table: RouteTable;
  adminToken: string;
  logLevel: string;
}

function causeCode(error: unknown): string {
  const { cause, code } = error as { cause?: { code?: string }; code?: string };
  return cause?.code ?? code ?? 'UNKNOWN';
}

/** Model name of `/v1/models/NAME` and `/v1/models/NAME:VERB`. */
const modelOf = (target: string): string => target.replace(/:[^:]*$/, '');

function pinned(table: RouteTable, model: string, header: string | string[]): Route {
  const route = table.of(model)?.find(({ version }) => String(version) === header);
  if (route !== undefined) return route;
  const served =
    table
      .of(model)
      ?.map(({ version }) => version)
      .join(', ') ?? '';
  throw new RequestError(
    404,
    'VERSION_NOT_FOUND',
    `The header ${VERSION_HEADER} asks for version ${String(header)} of "${model}"; served are: ${served}.`,
  );
}

class Forwarder {
  readonly #table: RouteTable;
  readonly #counters: RouterCounters;

  constructor(table: RouteTable, counters: RouterCounters) {
    this.#table = table;
    this.#counters = counters;
  }

  forward(request: FastifyRequest<{ Params: { target: string } }>, reply: FastifyReply): FastifyReply {
    const model = modelOf(request.params.target);
    if (this.#table.of(model) === undefined) {
      throw new RequestError(
        404,
        'MODEL_NOT_FOUND',
        `There is no model "${model}" here; GET /v1/models lists them.`,
      );
    }
    const pin = request.headers[VERSION_HEADER];
    if (pin !== undefined) return this.#send(request, reply, model, pinned(this.#table, model, pin), null);
    // Only predictions take turns, so that their shares are exact whatever else is asked.
    const route = request.method === 'POST' ? this.#table.next(model) : this.#table.heaviest(model);
    if (route === undefined) {
      throw new RequestError(
        503,
        'NO_TRAFFIC',
        `No version of "${model}" has traffic yet; set its weights first.`,
      );
    }
    return this.#send(request, reply, model, route, () => this.#table.heaviest(model, route.version));
  }

  /** Sends to one version; `standIn` names who is asked, once, when that version cannot be reached. */
  #send(
    request: FastifyRequest,
    reply: FastifyReply,
    model: string,
    route: Route,
    standIn: (() => Route | undefined) | null,
  ): FastifyReply {
    const started = performance.now();
    const done = (status: number, failed: boolean): void => {
      if (request.method !== 'POST') return;
      this.#counters.count(model, route.version, status, failed, (performance.now() - started) / 1_000);
    };
    return reply.from(upstreamUrl(request, route), {
      ...bodyOf(request),
      rewriteRequestHeaders: (_request, headers) => withoutHopHeaders(headers),
      rewriteHeaders: (headers) => ({
        ...withoutHopHeaders(headers),
        [VERSION_HEADER]: String(route.version),
      }),
      onResponse: (_request, answering, response) => {
        const status = answering.statusCode;
        done(status, status >= 500);
        // reply-from types the response as the raw server's; what it hands over carries the upstream's body.
        answering.send(response.stream);
      },
      onError: (_reply, { error }) => {
        done(0, true);
        const code = causeCode(error);
        const other = UNREACHABLE.has(code) ? standIn?.() : undefined;
        if (other === undefined) {
          refuse(reply, route, code, model);
          return;
        }
        this.#counters.failover(model, route.version);
        reply.header(FAILED_VERSION_HEADER, String(route.version));
        this.#send(request, reply, model, other, null);
      },
    });
  }
}

/** The body as it came: parsing it here would cost time and could change it. */
function bodyOf(request: FastifyRequest): { body?: Buffer; contentType?: string } {
  if (!Buffer.isBuffer(request.body)) return {};
  return { body: request.body, contentType: request.headers['content-type'] ?? 'application/octet-stream' };
}

/**
 * Headers that speak of one connection, not of the message: the client's and the version's are two connections.
 * `expect` is answered here, since the whole body is read before it is sent on.
 */
function withoutHopHeaders(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const kept = { ...headers };
  for (const name of ['connection', 'keep-alive', 'transfer-encoding', 'expect'])
    Reflect.deleteProperty(kept, name);
  return kept;
}

/** Path and query only: a request line with a whole URL must not choose the host. */
function upstreamUrl(request: FastifyRequest, route: Route): string {
  const { pathname, search } = new URL(request.url, route.url);
  return new URL(route.url).origin + pathname + search;
}

function refuse(reply: FastifyReply, route: Route, code: string, model: string): void {
  const timedOut = code === 'UND_ERR_HEADERS_TIMEOUT';
  const error = new RequestError(
    timedOut ? 504 : 502,
    timedOut ? 'VERSION_TIMED_OUT' : 'VERSION_UNREACHABLE',
    timedOut
      ? `Version ${route.version} of "${model}" did not answer within ${ANSWER_TIMEOUT_MS} ms.`
      : `Version ${route.version} of "${model}" cannot be reached at ${route.url} (${code}), and no other version may answer.`,
    { version: route.version },
  );
  reply.removeHeader(VERSION_HEADER);
  reply.header(FAILED_VERSION_HEADER, String(route.version)).code(error.status).send(errorBody(error));
}

function requireToken(adminToken: string): (request: FastifyRequest) => void {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const expected = digest(`Bearer ${adminToken}`);
  return (request) => {
    if (timingSafeEqual(digest(request.headers.authorization ?? ''), expected)) return;
    throw new RequestError(
      401,
      'UNAUTHORIZED',
      'Paths below /-/ need the header "authorization: Bearer <admin token>".',
    );
  };
}

function addAdmin(
  app: FastifyInstance,
  { table, adminToken }: RouterOptions,
  counters: RouterCounters,
): void {
  const authorize = requireToken(adminToken);
  void app.register(
    (admin, _options, done) => {
      admin.addHook('onRequest', (request, _reply, next) => {
        authorize(request);
        next();
      });
      admin.get('/routes', () => table.all());
      admin.put('/routes', (request) => {
        const change = routesSchema.safeParse(parseJson(request.body));
        if (!change.success) {
          throw new RequestError(
            400,
            'INVALID_ROUTES',
            `The routes were not changed: ${z.prettifyError(change.error)}`,
          );
        }
        table.replace(change.data);
        return table.all();
      });
      admin.get('/counters', () => counters.all(table.all()));
      done();
    },
    { prefix: '/-' },
  );
}

function parseJson(body: unknown): unknown {
  try {
    return JSON.parse(Buffer.isBuffer(body) ? body.toString('utf8') : '');
  } catch (cause) {
    throw new RequestError(
      400,
      'INVALID_JSON',
      `The body is not valid JSON: ${(cause as Error).message}.`,
      {},
      { cause },
    );
  }
}

/** The router, not yet listening. */
export function createRouter(options: RouterOptions): FastifyInstance {
  const { table, logLevel } = options;
  const counters = new RouterCounters();
  const app = Fastify({
    logger: { level: logLevel },
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT_BYTES,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
  });
  answerOversizedBodies(app);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });
  void app.register(replyFrom, {
    undici: {
      connections: 128,
      connect: { timeout: CONNECT_TIMEOUT_MS },
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
    },
    // Only this router decides what is tried again.
    retryMethods: [],
    disableRequestLogging: true,
    destroyAgent: true,
  });
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const refusal =
      error instanceof RequestError
        ? error
        : fromFramework(error, request.headers['content-type'], BODY_LIMIT_BYTES);
    if (refusal.status >= 500) request.log.error({ err: error }, error.message);
    return reply.code(refusal.status).send(errorBody(refusal));
  });
  app.setNotFoundHandler((request, reply) => {
    const error = new RequestError(404, 'NOT_FOUND', `Nothing answers ${request.method} ${request.url}.`);
    return reply.code(404).send(errorBody(error));
  });
  const forwarder = new Forwarder(table, counters);
  app.get('/v1/models', () => ({ models: Object.keys(table.all().models) }));
  app.all<{ Params: { target: string } }>('/v1/models/:target', (request, reply) =>
    forwarder.forward(request, reply),
  );
  app.get('/healthz', () => ({ live: true }));
  app.get('/metrics', async (_request, reply) =>
    reply.type(counters.registry.contentType).send(await counters.registry.metrics()),
  );
  addAdmin(app, options, counters);
  return app;
}
