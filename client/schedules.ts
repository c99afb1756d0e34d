/** Schedules of the weekly pipeline or the weekly update of forecasts; each model has at most one. */
import type { Client, ScheduleDescription, ScheduleOptions } from '@temporalio/client';
import { ScheduleAlreadyRunning, ScheduleNotFoundError, ScheduleOverlapPolicy } from '@temporalio/client';
import { ERROR_TYPES } from '../contracts/errors.ts';
import { DEFAULT_MODEL_NAME, pipelineWorkflowId, scheduleId, updateWorkflowId } from '../contracts/names.ts';
import type { PipelineInput } from '../contracts/pipeline.ts';
import type { UpdateInput } from '../contracts/update.ts';
import type { forecastPipeline } from '../workflows/pipeline.ts';
import type { updateForecasts } from '../workflows/update.ts';
import { DEFAULT_CRON } from './cron.ts';
import { PipelineError } from './pipeline-error.ts';

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

export function createSchedules(client: Client, taskQueue: string) {
  async function on<T>(modelName: string, work: (id: string) => Promise<T>): Promise<T> {
    const id = scheduleId(modelName);
    try {
      return await work(id);
    } catch (cause) {
      if (!(cause instanceof ScheduleNotFoundError)) throw cause;
      throw new PipelineError(
        'NotFound',
        `there is no ${id}; create one with \`shelfcast schedule create\``,
        {
          cause,
        },
      );
    }
  }
  const handle = (id: string) => client.schedule.getHandle(id);
  async function put(modelName: string, cron: string, workflow: ScheduledWorkflow): Promise<ScheduleState> {
    const id = scheduleId(modelName);
    const options = scheduleOptions(cron, { type: 'startWorkflow', taskQueue, ...workflow });
    try {
      await client.schedule.create({ scheduleId: id, ...options });
    } catch (error) {
      if (!(error instanceof ScheduleAlreadyRunning)) throw asInputError(error, cron);
      await handle(id).update((previous) => ({ ...options, state: previous.state }));
    }
    return stateOf(await handle(id).describe());
  }

  return {
    /** Schedules the pipeline at these times (UTC), in place of an earlier schedule of the model. */
    create(input: PipelineInput = {}, cron: string = DEFAULT_CRON): Promise<ScheduleState> {
      const modelName = input.modelName ?? DEFAULT_MODEL_NAME;
      return put(modelName, cron, {
        workflowType: 'forecastPipeline',
        args: [input] satisfies Parameters<typeof forecastPipeline>,
        workflowId: pipelineWorkflowId(modelName),
      });
    },
    /** Schedules updates without training at these times (UTC), in place of an earlier schedule of the model. */
    createUpdate(input: UpdateInput, cron: string = DEFAULT_CRON): Promise<ScheduleState> {
      const modelName = input.modelName ?? DEFAULT_MODEL_NAME;
      return put(modelName, cron, {
        workflowType: 'updateForecasts',
        args: [input] satisfies Parameters<typeof updateForecasts>,
        workflowId: updateWorkflowId(modelName),
      });
    },
    show: (modelName = DEFAULT_MODEL_NAME) =>
      on(modelName, async (id) => stateOf(await handle(id).describe())),
    /** Runs the schedule's workflow once, now. */
    trigger: (modelName = DEFAULT_MODEL_NAME) =>
      on(modelName, (id) => handle(id).trigger(ScheduleOverlapPolicy.SKIP)),
    pause: (modelName = DEFAULT_MODEL_NAME, note?: string) => on(modelName, (id) => handle(id).pause(note)),
    resume: (modelName = DEFAULT_MODEL_NAME) => on(modelName, (id) => handle(id).unpause()),
    delete: (modelName = DEFAULT_MODEL_NAME) => on(modelName, (id) => handle(id).delete()),
  };
}

interface ScheduledWorkflow {
  workflowType: string;
  args: unknown[];
  /** Temporal appends the time, so that each run has its own id; the model's lock keeps them apart. */
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
      // The default, a year, would run every week missed by a machine that was off.
      catchupWindow: '1 day' as const,
    },
  };
}

function asInputError(error: unknown, cron: string): unknown {
  // The SDK reports an argument that the server finds invalid as a TypeError.
  if (!(error instanceof TypeError)) return error;
  return new PipelineError(
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
