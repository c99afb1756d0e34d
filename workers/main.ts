/** The worker process: runs the workflows and activities of one task queue; its configuration is the environment. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { createActivities } from '../activities/index.ts';
import { PROJECT_DIR, readWorkerConfig } from '../config/environment.ts';
import { createDependencies } from './dependencies.ts';
import { startHealthServer } from './health.ts';
import { ensureSearchAttributes, SearchAttributesError } from './search-attributes.ts';
import { cachedWorkflowBundle } from './workflow-bundle.ts';

const CONNECT_PAUSE_MS = 1_000;

Runtime.install({ logger: new DefaultLogger('WARN'), shutdownSignals: ['SIGTERM', 'SIGINT'] });

const config = readWorkerConfig();
const { namespace, taskQueue, ...server } = config.temporal;
const dependencies = await createDependencies(config);
let state = (): string => 'STARTING';
const health =
  config.healthPort === undefined ? null : await startHealthServer(config.healthPort, () => state());
const connection = await connectToTemporal();
const worker = await Worker.create({
  connection,
  namespace,
  taskQueue,
  workflowBundle: { codePath: config.workflowBundle ?? (await cachedWorkflowBundle(PROJECT_DIR)) },
  activities: createActivities(dependencies),
  // Activities leave their jobs running and another worker retries them, so a longer wait gains nothing.
  shutdownGraceTime: '2 seconds',
  // A cancellation comes with the answer to a heartbeat. The default, 24 s, is long for a waiting person.
  maxHeartbeatThrottleInterval: '1 second',
  // A run is small, but each holds memory outside the heap.
  maxCachedWorkflows: 50,
});
state = () => worker.getState();
process.stdout.write(`worker of ${taskQueue} at ${server.address} is ready\n`);
await worker.run();
health?.close();
await dependencies.close();
await connection.close();

/** Waits for a server that is still starting, because supervisord gives up on programs that end too often. */
async function connectToTemporal(): Promise<NativeConnection> {
  for (let isReported = false; ; isReported = true) {
    let connected: NativeConnection | undefined;
    try {
      connected = await NativeConnection.connect(server);
      const warning = await ensureSearchAttributes(connected, namespace);
      if (warning !== undefined) process.stderr.write(`${warning}\n`);
      return connected;
    } catch (error) {
      await connected?.close();
      if (error instanceof SearchAttributesError) throw error;
      if (!isReported)
        process.stderr.write(`Temporal at ${server.address}: ${String(error)}; trying again\n`);
      await sleep(CONNECT_PAUSE_MS);
    }
  }
}
