/** Runs pipelines with fake activities on a real server: a task queue and a model of its own for each test. */
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { ApplicationFailure, Client, Connection, WorkflowFailedError } from '@temporalio/client';
import type { WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import type { WorkflowBundleWithSourceMap } from '@temporalio/worker';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import type { PipelineInput } from '../../contracts/pipeline.ts';
import { pipelineWorkflowId, updateWorkflowId } from '../../contracts/names.ts';
import type { UpdateInput } from '../../contracts/update.ts';
import type { forecastPipeline, updateForecasts } from '../../workflows/index.ts';
import type { FakeActivities } from './fake-activities.ts';
import { startTemporalServer } from './temporal-server.ts';

export type PipelineHandle = WorkflowHandleWithFirstExecutionRunId<typeof forecastPipeline>;
export type UpdateHandle = WorkflowHandleWithFirstExecutionRunId<typeof updateForecasts>;

export interface TestRun {
  modelName: string;
  taskQueue: string;
  /** Starts a pipeline of this test's model; undefined starts it with no argument at all. */
  start: (input?: PipelineInput | null, workflowId?: string) => Promise<PipelineHandle>;
  /** Starts an update of this test's model; of generated sales when nothing else is said. */
  startUpdate: (input?: Partial<UpdateInput>) => Promise<UpdateHandle>;
}

export type TestEnvironment = Awaited<ReturnType<typeof startTestEnvironment>>;

// The failures that tests provoke would fill the output.
Runtime.install({ logger: new DefaultLogger('ERROR') });

interface EnvironmentOptions {
  /** With 0 every workflow task replays the whole history, as after a worker's restart. */
  maxCachedWorkflows?: number;
  /** Module of workflow interceptors, for example interceptors.ts. */
  interceptors?: string;
}

export async function startTestEnvironment(options: EnvironmentOptions = {}) {
  const [server, workflowBundle] = await Promise.all([
    startTemporalServer(),
    bundleWorkflows(options.interceptors),
  ]);
  const connection = await Connection.connect({ address: server.address });
  const workerConnection = await NativeConnection.connect({ address: server.address });
  const client = new Client({ connection });

  return {
    address: server.address,
    client,

    /** Runs a worker with these activities while `test` runs. */
    async withWorker<T>(fake: FakeActivities, test: (run: TestRun) => Promise<T>): Promise<T> {
      const id = randomBytes(4).toString('hex');
      const modelName = `m-${id}`;
      const taskQueue = `queue-${id}`;
      const worker = await Worker.create({
        connection: workerConnection,
        workflowBundle,
        taskQueue,
        ...(options.interceptors === undefined
          ? {}
          : { interceptors: { workflowModules: [options.interceptors] } }),
        activities: fake.activities,
        shutdownGraceTime: 0,
        maxHeartbeatThrottleInterval: '100 milliseconds',
        // A change of order is a failed test, not a workflow task that is tried for ever.
        workflowFailureErrorTypes: { '*': ['NondeterminismError'] },
        ...(options.maxCachedWorkflows === undefined
          ? {}
          : { maxCachedWorkflows: options.maxCachedWorkflows }),
      });
      const start: TestRun['start'] = (input = {}, workflowId = pipelineWorkflowId(modelName)) =>
        client.workflow.start<typeof forecastPipeline>('forecastPipeline', {
          args: input === null ? [] : [{ modelName, ...input }],
          workflowId,
          taskQueue,
        });
      const startUpdate: TestRun['startUpdate'] = (input = {}) =>
        client.workflow.start<typeof updateForecasts>('updateForecasts', {
          args: [{ modelName, source: { kind: 'generated' }, ...input }],
          workflowId: updateWorkflowId(modelName),
          taskQueue,
        });
      return await worker.runUntil(test({ modelName, taskQueue, start, startUpdate }));
    },

    async stop(): Promise<void> {
      await connection.close();
      await workerConnection.close();
      await server.stop();
    },
  };
}

export const bundleWorkflows = (interceptors?: string): Promise<WorkflowBundleWithSourceMap> =>
  bundleWorkflowCode({
    ...(interceptors === undefined ? {} : { workflowInterceptorModules: [interceptors] }),
    workflowsPath: resolve(import.meta.dirname, '../../workflows/index.ts'),
    logger: new DefaultLogger('ERROR'),
  });

/** The failure that a run ended with. */
export async function failureOf(result: Promise<unknown>): Promise<ApplicationFailure> {
  const error: unknown = await result.then(
    () => new Error('the run did not fail'),
    (reason: unknown) => reason,
  );
  if (error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure) return error.cause;
  throw error;
}
