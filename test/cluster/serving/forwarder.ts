/** Lets pods reach a server of this machine that listens on loopback only. */
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

export interface Forwarder {
  port: number;
  close(): void;
}

/** Forwards connections to `address` (a free port of it) to the port on loopback. */
export async function forwardTo(port: number, address: string): Promise<Forwarder> {
  const server = createServer((client) => {
    const upstream = connect({ port, host: '127.0.0.1' });
    client.pipe(upstream).pipe(client);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      socket.on('error', () => other.destroy());
      socket.on('close', () => other.destroy());
    }
  });
  server.listen(0, address);
  await once(server, 'listening');
  // Connections end with their other side; they must not keep a test running.
  server.unref();
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
    },
  };
}
