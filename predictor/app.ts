/** HTTP application of the predictor and the router: limits, refusals and logging. */
import Fastify, { LogController } from 'fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { fromFramework, RequestError } from './errors.ts';
import { answerOversizedBodies } from './request-body.ts';

export interface AppOptions {
  logLevel: string;
  /** Fields of each logged error. */
  logFields: Readonly<Record<string, unknown>>;
  bodyLimitBytes: number;
  /** Sends a refusal. */
  refuse: (error: RequestError, reply: FastifyReply) => FastifyReply;
}

export function createApp({ logLevel, logFields, bodyLimitBytes, refuse }: AppOptions): FastifyInstance {
  const handle = (error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const refusal =
      error instanceof RequestError
        ? error
        : fromFramework(error, request.headers['content-type'], bodyLimitBytes);
    if (refusal.status >= 500) request.log.error({ err: error, ...logFields }, error.message);
    return refuse(refusal, reply);
  };
  const app = Fastify({
    logger: { level: logLevel },
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyLimitBytes,
    // A request on an open connection is still answered while the server ends.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    // Errors before a route is found, such as a path that cannot be decoded, do not reach the error handler.
    frameworkErrors: (error, request, reply) => {
      handle(error, request, reply);
    },
  });
  answerOversizedBodies(app);
  app.setErrorHandler<FastifyError>(handle);
  app.setNotFoundHandler((request, reply) =>
    refuse(new RequestError(404, 'NOT_FOUND', `Nothing answers ${request.method} ${request.url}.`), reply),
  );
  return app;
}
