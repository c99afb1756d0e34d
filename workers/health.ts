/** HTTP server for the liveness and readiness probes of a platform. */
import type { Server } from 'node:http';
import { createServer } from 'node:http';

/**
 * `/healthz` answers 200 while the event loop runs; `/readyz` answers by `state`: 200 for RUNNING, else 503. The body
 * is the state.
 */
export function startHealthServer(port: number, state: () => string): Promise<Server> {
  const server = createServer((request, response) => {
    const isRunning = state() === 'RUNNING';
    const status = request.url === '/healthz' || (request.url === '/readyz' && isRunning) ? 200 : 503;
    response.writeHead(status, { 'content-type': 'text/plain' }).end(`${state()}\n`);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, () => {
      resolve(server);
    });
  });
}
