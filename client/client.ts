/**
 * The public API for programs: start a pipeline, follow it, and approve, abort or cancel it.
 *
 *     const shelfcast = await connect();
 *     const run = await shelfcast.startPipeline({ horizonWeeks: 4 });
 *     console.log((await run.result()).verdict);
 */
import type { WorkflowHandle, WorkflowResultType } from '@temporalio/client';
import type { Workflow } from '@temporalio/common';
import {
  Client,
  Connection,
  defaultPayloadConverter,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
} from '@temporalio/client';
import { ERROR_TYPES } from '../contracts/errors.ts';
import {
  DEFAULT_MODEL_NAME,
  modelLockWorkflowId,
  pipelineWorkflowId,
  updateWorkflowId,
} from '../contracts/names.ts';
import type { PipelineInput, PipelineResult } from '../contracts/pipeline.ts';
import type { JobHeartbeat, PipelineProgress } from '../contracts/progress.ts';
import type { UpdateInput, UpdateResult } from '../contracts/update.ts';
import { abortUpdate, approveUpdate, progressQuery } from '../workflows/messages.ts';
import type { forecastPipeline } from '../workflows/pipeline.ts';
import type { updateForecasts } from '../workflows/update.ts';
import type { TemporalConfig } from '../config/environment.ts';
import { readTemporalConfig } from '../config/environment.ts';
import { PipelineError } from './pipeline-error.ts';
import { toPipelineError } from './to-pipeline-error.ts';
import type { Schedules } from './schedules.ts';
import { createSchedules } from './schedules.ts';

export type { PipelineInput, PipelineProgress, PipelineResult, UpdateInput, UpdateResult };
export { PipelineError };

export type PipelineHandle = RunHandle<PipelineResult>;
export type UpdateHandle = RunHandle<UpdateResult>;
/** Handle of a run that somebody else may have started, so it may be of either kind. */
export type AnyHandle = RunHandle<PipelineResult | UpdateResult>;

export interface RunHandle<Result> {
  workflowId: string;
  /** Returns the run's status and its input; the input is null unless this client started the run. */
  describe: () => Promise<{
    status: string;
    endedAt: Date | null;
    input: PipelineInput | UpdateInput | null;
  }>;
  /** Waits for the end. @throws PipelineError when the run failed, was aborted or cancelled. */
  result: () => Promise<Result>;
  progress: () => Promise<PipelineProgress>;
  /** Returns the activities under way: the newest line of each one's job, or why it is being retried. */
  pendingWork: () => Promise<PendingWork[]>;
  /** Approves traffic for the candidate. @throws PipelineError when the run does not wait for approval. */
  approve: (by?: string) => Promise<string>;
  /** Ends the run as failed with this reason, after cleaning up. */
  abort: (reason: string) => Promise<string>;
  /** Ends the run as cancelled, after cleaning up. Returns at once; `result()` waits. */
  cancel: () => Promise<void>;
}

export interface PendingWork {
  activity: string;
  attempt: number;
  /** Newest line of the job that the activity follows. */
  progress: string | null;
  /** Completed share of the job, 0 to 1; null where the job does not report it. */
  fraction: number | null;
  lastFailure: string | null;
}

export interface Shelfcast {
  /**
   * Starts a pipeline; everything in the input has a default.
   * @throws PipelineError `ModelBusy` when a run with this id is running. (Where a run with another id holds the
   * model, `result()` fails with `ModelBusy`.)
   */
  startPipeline: (input?: PipelineInput, options?: { workflowId?: string }) => Promise<PipelineHandle>;
  /**
   * Starts an update: adds the weeks of the source to the champion's data set and renews features and forecasts,
   * without training.
   * @throws PipelineError as `startPipeline` does
   */
  startUpdate: (input: UpdateInput, options?: { workflowId?: string }) => Promise<UpdateHandle>;
  /** Returns the newest pipeline run with this id. */
  pipeline: (workflowId: string) => PipelineHandle;
  /** Returns the pipeline or update that holds the model now, whoever started it. */
  runningPipeline: (modelName?: string) => Promise<AnyHandle | null>;
  schedules: Schedules;
  close: () => Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Connects to Temporal.
 *
 * @param config default: TEMPORAL_ADDRESS, else the local services that `npm start` started
 * @param options.connectTimeoutMs time until a server that does not answer is an error
 * @throws PipelineError `ServiceUnavailable` when Temporal does not answer in time
 */
export async function connect(
  config: TemporalConfig = readTemporalConfig(),
  { connectTimeoutMs = CONNECT_TIMEOUT_MS }: { connectTimeoutMs?: number } = {},
): Promise<Shelfcast> {
  const { namespace, taskQueue, ...server } = config;
  const connection = await Connection.connect({ ...server, connectTimeout: connectTimeoutMs }).catch(
    (cause: unknown) => {
      throw new PipelineError(
        ERROR_TYPES.serviceUnavailable,
        `Temporal does not answer at ${server.address}: start it with \`npm start\`, or correct TEMPORAL_ADDRESS`,
        { cause },
      );
    },
  );
  const client = new Client({ connection, namespace });
  return {
    startPipeline: (input = {}, options = {}) => startPipeline(client, taskQueue, input, options),
    startUpdate: (input, options = {}) => startUpdate(client, taskQueue, input, options),
    pipeline: (workflowId) => handleOf(client.workflow.getHandle<typeof forecastPipeline>(workflowId)),
    runningPipeline: (modelName = DEFAULT_MODEL_NAME) => runningPipeline(client, modelName),
    schedules: createSchedules(client, taskQueue),
    close: () => connection.close(),
  };
}

async function startPipeline(
  client: Client,
  taskQueue: string,
  input: PipelineInput,
  options: { workflowId?: string },
): Promise<PipelineHandle> {
  const modelName = input.modelName ?? DEFAULT_MODEL_NAME;
  const workflowId = options.workflowId ?? pipelineWorkflowId(modelName);
  const handle = await unlessRunning(workflowId, () =>
    client.workflow.start<typeof forecastPipeline>('forecastPipeline', {
      args: [input],
      workflowId,
      taskQueue,
      staticSummary: `Forecasts of ${modelName}`,
      memo: { input },
    }),
  );
  return handleOf(handle);
}

async function startUpdate(
  client: Client,
  taskQueue: string,
  input: UpdateInput,
  options: { workflowId?: string },
): Promise<UpdateHandle> {
  const modelName = input.modelName ?? DEFAULT_MODEL_NAME;
  const workflowId = options.workflowId ?? updateWorkflowId(modelName);
  const handle = await unlessRunning(workflowId, () =>
    client.workflow.start<typeof updateForecasts>('updateForecasts', {
      args: [input],
      workflowId,
      taskQueue,
      staticSummary: `New weeks for ${modelName}`,
      memo: { input },
    }),
  );
  return handleOf(handle);
}

async function unlessRunning<T>(workflowId: string, start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (cause) {
    if (!(cause instanceof WorkflowExecutionAlreadyStartedError)) throw cause;
    throw new PipelineError(
      ERROR_TYPES.modelBusy,
      `${workflowId} is running already: wait until it ends, or abort or cancel it, then start again`,
      { cause },
    );
  }
}

/** Finds the run by the lock's parent, or, before the lock is taken, by the ids that this client assigns. */
async function runningPipeline(client: Client, modelName: string): Promise<AnyHandle | null> {
  const lock = await describeRunning(client, modelLockWorkflowId(modelName));
  const holder = lock?.parentExecution?.workflowId;
  const candidates = holder == null ? [pipelineWorkflowId(modelName), updateWorkflowId(modelName)] : [holder];
  for (const workflowId of candidates) {
    if ((await describeRunning(client, workflowId)) === null) continue;
    return handleOf(client.workflow.getHandle<RunWorkflow>(workflowId));
  }
  return null;
}

type RunWorkflow = () => Promise<PipelineResult | UpdateResult>;

async function describeRunning(client: Client, workflowId: string) {
  try {
    const description = await client.workflow.getHandle(workflowId).describe();
    return description.status.name === 'RUNNING' ? description : null;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

function handleOf<W extends Workflow>(handle: WorkflowHandle<W>): RunHandle<WorkflowResultType<W>> {
  const { workflowId } = handle;
  const asPipelineError = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw toPipelineError(error, workflowId);
    }
  };
  return {
    workflowId,
    describe: () => asPipelineError(describe(handle)),
    result: () => asPipelineError(handle.result()),
    progress: () => asPipelineError(handle.query(progressQuery)),
    pendingWork: () => asPipelineError(pendingWork(handle)),
    approve: (by) =>
      asPipelineError(handle.executeUpdate(approveUpdate, { args: [by === undefined ? undefined : { by }] })),
    abort: (reason) => asPipelineError(handle.executeUpdate(abortUpdate, { args: [{ reason }] })),
    cancel: async () => {
      await asPipelineError(handle.cancel());
    },
  };
}

async function describe(handle: Pick<WorkflowHandle, 'describe'>) {
  const { status, closeTime, memo } = await handle.describe();
  return {
    status: status.name,
    endedAt: closeTime ?? null,
    input: (memo?.['input'] as PipelineInput | UpdateInput | undefined) ?? null,
  };
}

async function pendingWork(handle: Pick<WorkflowHandle, 'describe'>): Promise<PendingWork[]> {
  const { raw } = await handle.describe();
  return (raw.pendingActivities ?? []).map((activity) => {
    const payload = activity.heartbeatDetails?.payloads?.[0];
    const details =
      payload == null ? null : defaultPayloadConverter.fromPayload<Partial<JobHeartbeat>>(payload);
    return {
      activity: activity.activityType?.name ?? '',
      attempt: activity.attempt ?? 1,
      progress: typeof details?.progress === 'string' ? details.progress : null,
      fraction: typeof details?.fraction === 'number' ? details.fraction : null,
      lastFailure: activity.lastFailure?.message ?? null,
    };
  });
}
