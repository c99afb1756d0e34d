/** Lets a client whose body is too large read the answer. */
import { finished } from 'node:stream/promises';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';

/** For as long as this a client may go on sending what nobody reads. */
const DISCARD_MS = 10_000;

/**
 * A server that answers before it has read the body, and closes, resets the connection: a client that is still sending
 * then sees a broken pipe instead of the answer. What it still sends is taken and thrown away, for a while.
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
    // The client left, or sends for ever: it does not get to read the answer.
  }
}
