/**
 * Public API for programs: starts a pipeline, follows it, and approves, aborts or cancels it.
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
  WORKFLOWS,
} from '../contracts/names.ts';
import type { PipelineInput, PipelineResult } from '../contracts/pipeline.ts';
import type { JobHeartbeat, PipelineProgress } from '../contracts/progress.ts';
import type { UpdateInput, UpdateResult } from '../contracts/update.ts';
import { abortUpdate, approveUpdate, progressQuery } from '../workflows/messages.ts';
import type { TemporalConfig } from '../config/environment.ts';
import { readTemporalConfig } from '../config/environment.ts';
import { ShelfcastError } from './shelfcast-error.ts';
import { toShelfcastError } from './to-shelfcast-error.ts';
import type { Schedules } from './schedules.ts';
import { createSchedules } from './schedules.ts';

export type { PipelineInput, PipelineProgress, PipelineResult, UpdateInput, UpdateResult };
export { ShelfcastError };

export type PipelineHandle = RunHandle<PipelineResult>;
export type UpdateHandle = RunHandle<UpdateResult>;
/** Handle of a run of either kind. */
export type AnyHandle = RunHandle<PipelineResult | UpdateResult>;

export interface RunHandle<Result> {
  workflowId: string;
  /** Returns the run's status and its input; the input is null for a run that a schedule started. */
  describe: () => Promise<{
    status: string;
    endedAt: Date | null;
    input: PipelineInput | UpdateInput | null;
  }>;
  /** Waits for the end. @throws ShelfcastError when the run failed, was aborted or cancelled. */
  result: () => Promise<Result>;
  progress: () => Promise<PipelineProgress>;
  /** Returns the activities in progress, with the newest line of their jobs and the reasons of their retries. */
  pendingWork: () => Promise<PendingWork[]>;
  /** Approves traffic for the candidate. @throws ShelfcastError when the run does not wait for approval. */
  approve: (by?: string) => Promise<string>;
  /** Stops the run, which cleans up and ends as failed with this reason. */
  abort: (reason: string) => Promise<string>;
  /** Stops the run, which cleans up and ends as cancelled. Returns at once; `result()` waits for the end. */
  cancel: () => Promise<void>;
}

export interface PendingWork {
  activity: string;
  attempt: number;
  /** Newest line of the job that the activity follows. */
  progress: string | null;
  /** Completed share of the job, 0 to 1; null when the job does not report it. */
  fraction: number | null;
  lastFailure: string | null;
}

export interface Shelfcast {
  /**
   * Starts a pipeline; every value of the input has a default.
   * @throws ShelfcastError `ModelBusy` when a run with this id is in progress. When a run with another id holds the
   * model, `result()` fails with `ModelBusy`.
   */
  startPipeline: (input?: PipelineInput, options?: { workflowId?: string }) => Promise<PipelineHandle>;
  /**
   * Starts an update: adds the weeks of the source to the champion's data set and renews features and forecasts,
   * without training.
   * @throws ShelfcastError as `startPipeline` does
   */
  startUpdate: (input: UpdateInput, options?: { workflowId?: string }) => Promise<UpdateHandle>;
  /** Returns the newest pipeline run with this id. */
  pipelineRun: (workflowId: string) => PipelineHandle;
  /** Returns the pipeline run or update that holds the model now. */
  currentRun: (modelName?: string) => Promise<AnyHandle | null>;
  schedules: Schedules;
  close: () => Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Connects to Temporal.
 *
 * @param config default: TEMPORAL_ADDRESS, else the local services that `npm start` started
 * @param options.connectTimeoutMs time until a server that does not answer is an error
 * @throws ShelfcastError `ServiceUnavailable` when Temporal does not answer in time
 */
export async function connect(
  config: TemporalConfig = readTemporalConfig(),
  { connectTimeoutMs = CONNECT_TIMEOUT_MS }: { connectTimeoutMs?: number } = {},
): Promise<Shelfcast> {
  const { namespace, taskQueue, ...server } = config;
  const connection = await Connection.connect({ ...server, connectTimeout: connectTimeoutMs }).catch(
    (cause: unknown) => {
      throw new ShelfcastError(
        ERROR_TYPES.serviceUnavailable,
        `Temporal does not answer at ${server.address}: start it with \`npm start\`, or correct TEMPORAL_ADDRESS`,
        { cause },
      );
    },
  );
  const client = new Client({ connection, namespace });
  return {
    startPipeline: (input = {}, options = {}) =>
      startRun<PipelineResult>(client, taskQueue, PIPELINE, input, options),
    startUpdate: (input, options = {}) => startRun<UpdateResult>(client, taskQueue, UPDATE, input, options),
    pipelineRun: (workflowId) => handleOf(client.workflow.getHandle<RunWorkflow<PipelineResult>>(workflowId)),
    currentRun: (modelName = DEFAULT_MODEL_NAME) => currentRun(client, modelName),
    schedules: createSchedules(client, taskQueue),
    close: () => connection.close(),
  };
}

type RunWorkflow<Result> = (input: PipelineInput | UpdateInput) => Promise<Result>;

/** Kind of run: its workflow type, the id that this client assigns, and the summary in the Temporal UI. */
interface RunKind {
  workflowType: string;
  workflowIdOf: (modelName: string) => string;
  summaryOf: (modelName: string) => string;
}

const PIPELINE: RunKind = {
  workflowType: WORKFLOWS.pipeline,
  workflowIdOf: pipelineWorkflowId,
  summaryOf: (modelName) => `Forecasts of ${modelName}`,
};
const UPDATE: RunKind = {
  workflowType: WORKFLOWS.update,
  workflowIdOf: updateWorkflowId,
  summaryOf: (modelName) => `New weeks for ${modelName}`,
};

async function startRun<Result>(
  client: Client,
  taskQueue: string,
  { workflowType, workflowIdOf, summaryOf }: RunKind,
  input: PipelineInput | UpdateInput,
  options: { workflowId?: string },
): Promise<RunHandle<Result>> {
  const modelName = input.modelName ?? DEFAULT_MODEL_NAME;
  const workflowId = options.workflowId ?? workflowIdOf(modelName);
  const handle = await unlessRunning(workflowId, () =>
    client.workflow.start<RunWorkflow<Result>>(workflowType, {
      args: [input],
      workflowId,
      taskQueue,
      staticSummary: summaryOf(modelName),
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
    throw new ShelfcastError(
      ERROR_TYPES.modelBusy,
      `${workflowId} is running already: wait until it ends, or abort or cancel it, then start again`,
      { cause },
    );
  }
}

/** Finds the run by the parent of the lock; before the run takes the lock, by the ids that this client assigns. */
async function currentRun(client: Client, modelName: string): Promise<AnyHandle | null> {
  const lock = await describeRunning(client, modelLockWorkflowId(modelName));
  const holder = lock?.parentExecution?.workflowId;
  const workflowIds =
    holder == null ? [pipelineWorkflowId(modelName), updateWorkflowId(modelName)] : [holder];
  for (const workflowId of workflowIds) {
    if ((await describeRunning(client, workflowId)) === null) continue;
    return handleOf(client.workflow.getHandle<RunWorkflow<PipelineResult | UpdateResult>>(workflowId));
  }
  return null;
}

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
  const asShelfcastError = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw toShelfcastError(error, workflowId);
    }
  };
  return {
    workflowId,
    describe: () => asShelfcastError(describe(handle)),
    result: () => asShelfcastError(handle.result()),
    progress: () => asShelfcastError(handle.query(progressQuery)),
    pendingWork: () => asShelfcastError(pendingWork(handle)),
    approve: (by) =>
      asShelfcastError(
        handle.executeUpdate(approveUpdate, { args: [by === undefined ? undefined : { by }] }),
      ),
    abort: (reason) => asShelfcastError(handle.executeUpdate(abortUpdate, { args: [{ reason }] })),
    cancel: async () => {
      await asShelfcastError(handle.cancel());
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
