/** Answers to requests with a body that is too large. */
import { finished } from 'node:stream/promises';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';

/** Longest time in which the rest of a refused body is read and discarded. */
const DISCARD_MS = 10_000;

/**
 * Reads and discards the rest of a refused body for a while, so that the client can read the answer. If the server closed the
 * connection earlier, a client that still sends would see a broken pipe.
 */
export function answerOversizedBodies(app: FastifyInstance): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (reply.statusCode === 413) await discard(request.raw);
    return payload;
  });
}

async function discard(body: IncomingMessage): Promise<void> {
  if (body.readableEnded) return;
  body.resume();
  try {
    await finished(body, { writable: false, signal: AbortSignal.timeout(DISCARD_MS) });
  } catch {
    // The client has left or never stops sending, so it cannot read the answer.
  }
}
