/** Schedules of the weekly pipeline or the weekly update of forecasts; each model has at most one. */
import type { Client, ScheduleClient, ScheduleDescription, ScheduleOptions } from '@temporalio/client';
import { ScheduleAlreadyRunning, ScheduleNotFoundError, ScheduleOverlapPolicy } from '@temporalio/client';
import { ERROR_TYPES } from '../contracts/errors.ts';
import {
  DEFAULT_MODEL_NAME,
  pipelineWorkflowId,
  scheduleId,
  updateWorkflowId,
  WORKFLOWS,
} from '../contracts/names.ts';
import type { PipelineInput } from '../contracts/pipeline.ts';
import type { UpdateInput } from '../contracts/update.ts';
import type { forecastPipeline } from '../workflows/pipeline.ts';
import type { updateForecasts } from '../workflows/update.ts';
import { DEFAULT_CRON } from './cron.ts';
import { ShelfcastError } from './shelfcast-error.ts';

export interface ScheduleState {
  id: string;
  /** Workflow that the schedule starts: `forecastPipeline` trains, `updateForecasts` does not. */
  runs: string;
  paused: boolean;
  note: string | null;
  nextRuns: string[];
  recentRuns: { at: string; workflowId: string }[];
}

export type Schedules = ReturnType<typeof createSchedules>;

export function createSchedules({ schedule: schedules }: Pick<Client, 'schedule'>, taskQueue: string) {
  const handle = (id: string) => schedules.getHandle(id);
  return {
    /** Creates the model's schedule, or replaces it: the pipeline at these times (UTC). */
    async create(input: PipelineInput = {}, cron: string = DEFAULT_CRON): Promise<ScheduleState> {
      refuseAcknowledgement(input);
      const modelName = input.modelName ?? DEFAULT_MODEL_NAME;
      return await createOrReplace(schedules, modelName, cron, {
        taskQueue,
        workflowType: WORKFLOWS.pipeline,
        args: [input] satisfies Parameters<typeof forecastPipeline>,
        workflowId: pipelineWorkflowId(modelName),
      });
    },
    /** Creates the model's schedule, or replaces it: updates without training at these times (UTC). */
    async createUpdate(input: UpdateInput, cron: string = DEFAULT_CRON): Promise<ScheduleState> {
      refuseAcknowledgement(input);
      const modelName = input.modelName ?? DEFAULT_MODEL_NAME;
      return await createOrReplace(schedules, modelName, cron, {
        taskQueue,
        workflowType: WORKFLOWS.update,
        args: [input] satisfies Parameters<typeof updateForecasts>,
        workflowId: updateWorkflowId(modelName),
      });
    },
    show: (modelName = DEFAULT_MODEL_NAME) =>
      withSchedule(modelName, async (id) => stateOf(await handle(id).describe())),
    /** Runs the schedule's workflow once, now. */
    trigger: (modelName = DEFAULT_MODEL_NAME) =>
      withSchedule(modelName, (id) => handle(id).trigger(ScheduleOverlapPolicy.SKIP)),
    pause: (modelName = DEFAULT_MODEL_NAME, note?: string) =>
      withSchedule(modelName, (id) => handle(id).pause(note)),
    resume: (modelName = DEFAULT_MODEL_NAME) => withSchedule(modelName, (id) => handle(id).unpause()),
    delete: (modelName = DEFAULT_MODEL_NAME) => withSchedule(modelName, (id) => handle(id).delete()),
  };
}

async function createOrReplace(
  schedules: ScheduleClient,
  modelName: string,
  cron: string,
  workflow: ScheduledWorkflow,
): Promise<ScheduleState> {
  const id = scheduleId(modelName);
  const options = scheduleOptions(cron, { type: 'startWorkflow', ...workflow });
  try {
    await schedules.create({ scheduleId: id, ...options });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw asInputError(error, cron);
    await schedules.getHandle(id).update((previous) => ({ ...options, state: previous.state }));
  }
  return stateOf(await schedules.getHandle(id).describe());
}

/** Works on the schedule of a model. @throws ShelfcastError `NotFound` where there is none */
async function withSchedule<T>(modelName: string, work: (id: string) => Promise<T>): Promise<T> {
  try {
    return await work(scheduleId(modelName));
  } catch (cause) {
    if (!(cause instanceof ScheduleNotFoundError)) throw cause;
    throw new ShelfcastError(
      'NotFound',
      `${modelName} has no schedule; create one with \`npx shelfcast schedule create\``,
      { cause },
    );
  }
}

function refuseAcknowledgement(input: PipelineInput | UpdateInput): void {
  if (input.acknowledge === undefined) return;
  throw new ShelfcastError(
    ERROR_TYPES.invalidInput,
    'acknowledge: a schedule cannot acknowledge a stop, because the key is of one load; run that load once ' +
      'with `npx shelfcast run` or `ingest`, and the schedule goes on',
  );
}

interface ScheduledWorkflow {
  taskQueue: string;
  workflowType: string;
  args: unknown[];
  /** Prefix of the runs' ids; Temporal appends the time. */
  workflowId: string;
}

function scheduleOptions(cron: string, action: ScheduleOptions['action']) {
  return {
    spec: {
      cronExpressions: [cron],
      // Spreads the starts of many models on one platform.
      jitter: '1 minute' as const,
    },
    action,
    policies: {
      overlap: ScheduleOverlapPolicy.SKIP,
      // The default, a year, would run every week that a stopped machine has missed.
      catchupWindow: '1 day' as const,
    },
  };
}

function asInputError(error: unknown, cron: string): unknown {
  // The SDK throws a TypeError for an argument that the server finds invalid.
  if (!(error instanceof TypeError)) return error;
  return new ShelfcastError(
    ERROR_TYPES.invalidInput,
    `the cron expression "${cron}" is not valid: ${error.message}; an example is "${DEFAULT_CRON}"`,
    { cause: error },
  );
}

function stateOf({ scheduleId: id, action, state, info }: ScheduleDescription): ScheduleState {
  return {
    id,
    runs: action.workflowType,
    paused: state.paused,
    note: state.note ?? null,
    nextRuns: info.nextActionTimes.slice(0, 3).map((time) => time.toISOString()),
    recentRuns: info.recentActions.map(({ takenAt, action }) => ({
      at: takenAt.toISOString(),
      workflowId: action.workflow.workflowId,
    })),
  };
}
