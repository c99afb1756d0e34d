/** Lets a client whose body is too large read the answer. */
import { finished } from 'node:stream/promises';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';

/** Longest time in which the rest of a refused body is read and discarded. */
const DISCARD_MS = 10_000;

/**
 * A server that answers and closes before it has read the body resets the connection, and a client that is still
 * sending sees a broken pipe instead of the answer. The rest of the body is therefore read and discarded for a while.
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
    // The client left or never stops sending; it does not get to read the answer.
  }
}
