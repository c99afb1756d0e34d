/** Translates Temporal's errors into PipelineError. */
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
import { PipelineError } from './pipeline-error.ts';

/** Returns errors that are not about the run (a bug, a lost connection) unchanged. */
export function toPipelineError(error: unknown, workflowId: string): unknown {
  if (error instanceof WorkflowNotFoundError) {
    return new PipelineError('NotFound', `there is no running pipeline ${workflowId}`, { cause: error });
  }
  if (error instanceof WorkflowUpdateFailedError) {
    const reason = error.cause?.message ?? error.message;
    return new PipelineError('Refused', `${workflowId} refused: ${reason}`, { cause: error });
  }
  if (!(error instanceof WorkflowFailedError)) return error;
  const { cause } = error;
  if (cause instanceof CancelledFailure) {
    return new PipelineError('Cancelled', `${workflowId} was cancelled`, { cause: error });
  }
  if (cause instanceof TerminatedFailure) {
    return new PipelineError('Terminated', `${workflowId} was terminated`, { cause: error });
  }
  if (cause instanceof TimeoutFailure) {
    return new PipelineError('TimedOut', `${workflowId} ran out of time`, { cause: error });
  }
  const type = cause instanceof ApplicationFailure ? (cause.type as ErrorType | null | undefined) : null;
  return new PipelineError(type ?? 'Failed', rootMessage(cause ?? error), { cause: error });
}

function rootMessage(error: Error): string {
  let deepest = error;
  while (!(deepest instanceof ApplicationFailure) && deepest.cause instanceof Error) deepest = deepest.cause;
  return deepest.message;
}
