/** Activity options and clean-up of the four stages that run a job. */
import type { ActivityOptions } from '@temporalio/workflow';
import {
  ActivityCancellationType,
  CancellationScope,
  isCancellation,
  log,
  proxyActivities,
} from '@temporalio/workflow';
import type { CleanUpActivities } from '../activities/clean-up.ts';
import type { Stage } from '../contracts/stages.ts';
import { SERVICE_CALL } from './service-call.ts';

const { stopJob } = proxyActivities<CleanUpActivities>(SERVICE_CALL);
const { endTracking } = proxyActivities<CleanUpActivities>({
  ...SERVICE_CALL,
  // Only marks the run in MLflow; a failed pipeline run should not wait long for that.
  scheduleToCloseTimeout: '2 minutes',
});

/**
 * Options of activities that follow a job. The number of attempts is not limited: an attempt adopts the job of the one
 * before it, the activity itself counts failed jobs, and an unavailable service must not end the run.
 */
export const JOB: ActivityOptions = {
  // The activity sends a heartbeat with every poll, and every 5 seconds while it stops a job.
  heartbeatTimeout: '30 seconds',
  // A job on real data may take hours. A person, or this limit, ends a job that is stuck.
  startToCloseTimeout: '24 hours',
  // The activity stops its job first. A run that ends earlier leaves the job behind.
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  // An attempt only looks at the job. The interval protects a service that is starting.
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '10 seconds' },
};

/**
 * Runs a stage and stops its job when the stage fails or is cancelled. The activity does that itself, unless its worker
 * dies: the server does not retry a cancelled activity.
 */
export const withJobCleanup = <T>(stage: Stage, work: () => Promise<T>): Promise<T> =>
  withCleanup(work, () => stopJob(stage), { message: 'the job of a failed stage may still run', stage });

/** Runs a stage that writes to MLflow and ends its MLflow run when the stage fails or is cancelled. */
export const withMlflowRunCleanup = <T>(modelName: string, work: () => Promise<T>): Promise<T> =>
  withCleanup(
    work,
    (error) => endTracking({ modelName, status: isCancellation(error) ? 'KILLED' : 'FAILED' }),
    { message: 'the MLflow run of a failed pipeline run stays open', modelName },
  );

/** Runs the work and cleans up when it fails or is cancelled. A failed clean-up is only logged: the failure of the work counts. */
async function withCleanup<T>(
  work: () => Promise<T>,
  cleanUp: (error: unknown) => Promise<void>,
  { message, ...about }: { message: string } & Record<string, unknown>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    try {
      await CancellationScope.nonCancellable(() => cleanUp(error));
    } catch (cause) {
      log.warn(message, { ...about, cause });
    }
    throw error;
  }
}
