/** What the four stages that run a job share. */
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
  // A mark for the reader of MLflow; a run that failed should not wait long before it says so.
  scheduleToCloseTimeout: '2 minutes',
});

/**
 * For activities that follow a job. The number of attempts is not limited: an attempt adopts the job of the one
 * before it, the activity itself counts failed jobs, and a service that is away is waited for.
 */
export const JOB: ActivityOptions = {
  // A heartbeat comes with every poll, at most a second apart; a worker that missed this many is gone.
  heartbeatTimeout: '30 seconds',
  // A job of hours is possible on real data; what ends a stuck one is a person, or this.
  startToCloseTimeout: '24 hours',
  // The activity stops its job; a run that ended before that would leave both behind.
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  // A new attempt costs a look at the job; slow only enough not to drum at a service that starts.
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '10 seconds' },
};

/**
 * When the stage fails or is cancelled, its job ends too. The activity does that itself where it can; it cannot when
 * its worker died meanwhile, since the server does not try a cancelled activity again.
 */
export async function withJobCleanup<T>(stage: Stage, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await CancellationScope.nonCancellable(() => stopJob(stage));
    throw error;
  }
}

/** When a stage that writes to MLflow fails or is cancelled, its MLflow run does not stay open. */
export async function withMlflowRunCleanup<T>(modelName: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const status = isCancellation(error) ? 'KILLED' : 'FAILED';
    try {
      await CancellationScope.nonCancellable(() => endTracking({ modelName, status }));
    } catch (cause) {
      // The failure of the stage is what the run should end with.
      log.warn('the MLflow run of a failed pipeline run stays open', { modelName, cause });
    }
    throw error;
  }
}
