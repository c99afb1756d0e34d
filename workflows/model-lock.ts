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
 * Runs `work` while this run holds the model.
 * @throws ApplicationFailure `ModelBusy` at once when another run holds the model
 */
export async function withModelLock<T>(modelName: string, work: () => Promise<T>): Promise<T> {
  // Not cancellable: a cancelled run cleans up while it holds the lock.
  const lock = await CancellationScope.nonCancellable(() => startLock(modelName));
  try {
    return await work();
  } finally {
    await CancellationScope.nonCancellable(async () => {
      try {
        await lock.signal(releaseSignal);
        // Without this wait the next run could still find the lock.
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
      // No lock is left behind when this run is terminated or times out.
      parentClosePolicy: ParentClosePolicy.TERMINATE,
      staticSummary: `Held by a run of ${modelName} until that run ends`,
    });
  } catch (error) {
    // @temporalio/workflow does not export WorkflowExecutionAlreadyStartedError, so its name is compared.
    if (!(error instanceof TemporalFailure && error.name === 'WorkflowExecutionAlreadyStartedError'))
      throw error;
    throw ApplicationFailure.nonRetryable(
      `another run holds the model ${modelName} (its lock is the workflow ${workflowId}): ` +
        'wait until it ends, or abort or cancel it, then start again',
      ERROR_TYPES.modelBusy,
    );
  }
}
