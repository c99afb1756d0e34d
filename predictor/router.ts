/** Weighted router, the one port in front of all predictors of a machine (docs/predictor.md). */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import replyFrom from '@fastify/reply-from';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { FAILED_VERSION_HEADER, VERSION_HEADER } from '../contracts/predict.ts';
import { routesSchema } from '../contracts/routes.ts';
import type { Route } from '../contracts/routes.ts';
import { createApp } from './app.ts';
import { RequestError, errorBody } from './errors.ts';
import { RouterCounters } from './router-counters.ts';
import type { RouteTable } from './routes.ts';

/** Slightly above the predictor's limit, so that clients read the predictor's refusal. */
const BODY_LIMIT_BYTES = 17 * 1024 * 1024;
const DEFAULT_ANSWER_TIMEOUT_MS = 60_000;
const CONNECT_TIMEOUT_MS = 2_000;

/** Errors before any byte of an answer; the request may go to another version, since a forecast changes nothing. */
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
  /** Longest wait for a version to begin its answer, and between two parts of it. */
  answerTimeoutMs?: number;
}

function causeCode(error: unknown): string {
  const { cause, code } = error as { cause?: { code?: string }; code?: string };
  return cause?.code ?? code ?? 'UNKNOWN';
}

/** Model name of `/v1/models/NAME` and `/v1/models/NAME:VERB`. */
const modelOf = (target: string): string => target.replace(/:[^:]*$/, '');

function pinned(table: RouteTable, model: string, header: string | string[]): Route {
  const route = table.routesOf(model)?.find(({ version }) => String(version) === header);
  if (route !== undefined) return route;
  const served =
    table
      .routesOf(model)
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
  readonly #answerTimeoutMs: number;

  constructor(table: RouteTable, counters: RouterCounters, answerTimeoutMs: number) {
    this.#table = table;
    this.#counters = counters;
    this.#answerTimeoutMs = answerTimeoutMs;
  }

  forward(request: FastifyRequest<{ Params: { target: string } }>, reply: FastifyReply): FastifyReply {
    const model = modelOf(request.params.target);
    if (this.#table.routesOf(model) === undefined) {
      throw new RequestError(
        404,
        'MODEL_NOT_FOUND',
        `There is no model "${model}" here; GET /v1/models lists them.`,
      );
    }
    const pin = request.headers[VERSION_HEADER];
    if (pin !== undefined) return this.#send(request, reply, model, pinned(this.#table, model, pin), null);
    // Only predictions take turns; status requests would distort their shares.
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

  /** Sends the request to one version. If that cannot be reached, the request goes once to the version of `standIn`. */
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
        // reply-from types `response` as the raw server's, but it carries the upstream's body as `stream`.
        answering.send(response.stream);
      },
      onError: (_reply, { error }) => {
        done(0, true);
        const code = causeCode(error);
        const other = UNREACHABLE.has(code) ? standIn?.() : undefined;
        if (other === undefined) {
          reply.removeHeader(VERSION_HEADER).header(FAILED_VERSION_HEADER, String(route.version));
          sendRefusal(this.#refusal(route, code, model), reply);
          return;
        }
        this.#counters.failover(model, route.version);
        reply.header(FAILED_VERSION_HEADER, String(route.version));
        this.#send(request, reply, model, other, null);
      },
    });
  }

  #refusal(route: Route, code: string, model: string): RequestError {
    const version = `Version ${route.version} of "${model}"`;
    const facts = { version: route.version };
    if (code === 'UND_ERR_HEADERS_TIMEOUT') {
      const sentence = `${version} did not answer within ${this.#answerTimeoutMs} ms.`;
      return new RequestError(504, 'VERSION_TIMED_OUT', sentence, facts);
    }
    const sentence = `${version} cannot be reached at ${route.url} (${code}), and no other version may answer.`;
    return new RequestError(502, 'VERSION_UNREACHABLE', sentence, facts);
  }
}

/** Returns the unparsed bytes of the body: parsing would take time and could change them. */
function bodyOf(request: FastifyRequest): { body?: Buffer; contentType?: string } {
  if (!Buffer.isBuffer(request.body)) return {};
  return { body: request.body, contentType: request.headers['content-type'] ?? 'application/octet-stream' };
}

/**
 * Removes headers about the connection, because the client's and the version's connections differ. The router answers `expect`
 * itself, because it reads the whole body before it sends the request on.
 */
function withoutHopHeaders(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const kept = { ...headers };
  for (const name of ['connection', 'keep-alive', 'transfer-encoding', 'expect'])
    Reflect.deleteProperty(kept, name);
  return kept;
}

/** Keeps only path and query: a request line with a whole URL must not choose the host. */
function upstreamUrl(request: FastifyRequest, route: Route): string {
  const { pathname, search } = new URL(request.url, route.url);
  return new URL(route.url).origin + pathname + search;
}

function sendRefusal(error: RequestError, reply: FastifyReply): FastifyReply {
  return reply.code(error.status).send(errorBody(error));
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

function registerProxy(app: FastifyInstance, answerTimeoutMs: number): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });
  void app.register(replyFrom, {
    undici: {
      connections: 128,
      connect: { timeout: CONNECT_TIMEOUT_MS },
      headersTimeout: answerTimeoutMs,
      bodyTimeout: answerTimeoutMs,
    },
    // Only this router decides what is tried again.
    retryMethods: [],
    disableRequestLogging: true,
    destroyAgent: true,
  });
}

/** Creates the router; the caller makes it listen. */
export function createRouter(options: RouterOptions): FastifyInstance {
  const { table, logLevel, answerTimeoutMs = DEFAULT_ANSWER_TIMEOUT_MS } = options;
  const counters = new RouterCounters();
  const app = createApp({
    logLevel,
    logFields: {},
    bodyLimitBytes: BODY_LIMIT_BYTES,
    refuse: sendRefusal,
  });
  registerProxy(app, answerTimeoutMs);
  const forwarder = new Forwarder(table, counters, answerTimeoutMs);
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
