/** Translation of Temporal's errors into ShelfcastError. */
import {
  ApplicationFailure,
  CancelledFailure,
  TerminatedFailure,
  TimeoutFailure,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import type { ErrorType } from '../contracts/errors.ts';
import { ShelfcastError } from './shelfcast-error.ts';

/** Returns errors that are not about the run (a bug, a lost connection) unchanged. */
export function toShelfcastError(error: unknown, workflowId: string): unknown {
  if (error instanceof WorkflowNotFoundError) {
    return new ShelfcastError(
      'NotFound',
      `there is no run with the id ${workflowId} in progress; \`npx shelfcast status\` shows the current run`,
      { cause: error },
    );
  }
  if (error instanceof WorkflowUpdateFailedError) {
    const reason = error.cause?.message ?? error.message;
    return new ShelfcastError('Refused', `${workflowId} did not accept the request: ${reason}`, {
      cause: error,
    });
  }
  if (!(error instanceof WorkflowFailedError)) return error;
  const { cause } = error;
  if (cause instanceof CancelledFailure) {
    return new ShelfcastError('Cancelled', `${workflowId} was cancelled`, { cause: error });
  }
  if (cause instanceof TerminatedFailure) {
    return new ShelfcastError('Terminated', `${workflowId} was terminated`, { cause: error });
  }
  if (cause instanceof TimeoutFailure) {
    return new ShelfcastError('TimedOut', `${workflowId} exceeded a timeout of Temporal`, { cause: error });
  }
  const type = cause instanceof ApplicationFailure ? (cause.type as ErrorType | null | undefined) : null;
  return new ShelfcastError(type ?? 'Failed', rootMessage(cause ?? error), { cause: error });
}

function rootMessage(error: Error): string {
  let deepest = error;
  while (!(deepest instanceof ApplicationFailure) && deepest.cause instanceof Error) deepest = deepest.cause;
  return deepest.message;
}
