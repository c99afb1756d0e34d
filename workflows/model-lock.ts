/** Lock of a model: at most one run at a time trains or updates it (decision 4). */
import {
  ApplicationFailure,
  CancellationScope,
  condition,
  ParentClosePolicy,
  setHandler,
  startChild,
  TemporalFailure,
} from '@temporalio/workflow';
import { ERROR_TYPES } from '../contracts/errors.ts';
import { modelLockWorkflowId } from '../contracts/names.ts';
import { releaseSignal } from './messages.ts';

/** The lock itself: a workflow that exists as long as a run holds the model. */
export async function modelLock(): Promise<void> {
  let isReleased = false;
  setHandler(releaseSignal, () => {
    isReleased = true;
  });
  await condition(() => isReleased);
}

/**
 * Runs `work` while no other run can hold the model.
 * @throws ApplicationFailure `ModelBusy` at once when another run holds it.
 */
export async function withModelLock<T>(modelName: string, work: () => Promise<T>): Promise<T> {
  // Outside the run's own scope: a cancelled run cleans up under the lock.
  const lock = await CancellationScope.nonCancellable(() => startLock(modelName));
  try {
    return await work();
  } finally {
    await CancellationScope.nonCancellable(async () => {
      try {
        await lock.signal(releaseSignal);
        // Without this wait a run that starts right after this one could still find the lock.
        await lock.result();
      } catch {
        // Somebody terminated or cancelled the lock, so there is nothing to release.
      }
    });
  }
}

async function startLock(modelName: string) {
  const workflowId = modelLockWorkflowId(modelName);
  try {
    return await startChild(modelLock, {
      workflowId,
      // The server ends the lock when this run is terminated or times out, so that no lock is left behind.
      parentClosePolicy: ParentClosePolicy.TERMINATE,
      staticSummary: `Held by the pipeline run of ${modelName}; ends with it`,
    });
  } catch (error) {
    // The SDK's class of this name is not exported to workflows.
    if (!(error instanceof TemporalFailure && error.name === 'WorkflowExecutionAlreadyStartedError'))
      throw error;
    throw ApplicationFailure.nonRetryable(
      `another run holds the model ${modelName} (its lock is the workflow ${workflowId}): ` +
        'wait until it ends, or abort or cancel it, then start again',
      ERROR_TYPES.modelBusy,
    );
  }
}
