/** The worker process: runs the workflows and activities of one task queue. Configured by the environment. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { createActivities } from '../activities/index.ts';
import { readWorkerConfig } from './config.ts';
import { createDependencies } from './dependencies.ts';

const CONNECT_PAUSE_MS = 1_000;

Runtime.install({ logger: new DefaultLogger('WARN'), shutdownSignals: ['SIGTERM', 'SIGINT'] });

const config = readWorkerConfig();
const { address, namespace, taskQueue } = config.temporal;
const connection = await connectToTemporal();
const dependencies = createDependencies(config);
const worker = await Worker.create({
  connection,
  namespace,
  taskQueue,
  workflowsPath: fileURLToPath(new URL('../workflows/index.ts', import.meta.url)),
  activities: createActivities(dependencies),
  // Activities leave their jobs running and are tried again by the next worker; nothing is gained by waiting longer.
  shutdownGraceTime: '2 seconds',
  // A cancellation comes with the answer to a heartbeat; the default, 24 s, is long for a person who waits.
  maxHeartbeatThrottleInterval: '1 second',
  // A run is small, but each holds memory outside the heap.
  maxCachedWorkflows: 50,
});
process.stdout.write(`worker of ${taskQueue} at ${address} is ready\n`);
await worker.run();
await dependencies.close();
await connection.close();

/** A server that starts at the same time is waited for; supervisord gives up on programs that end too often. */
async function connectToTemporal(): Promise<NativeConnection> {
  for (let isTold = false; ; isTold = true) {
    try {
      return await NativeConnection.connect({ address });
    } catch (error) {
      if (!isTold) process.stderr.write(`Temporal at ${address}: ${String(error)}; trying again\n`);
      await sleep(CONNECT_PAUSE_MS);
    }
  }
}
