/** Failures of activities. Temporal wraps the failure that an activity throws into an ActivityFailure. */
import { ActivityFailure, ApplicationFailure } from '@temporalio/workflow';
import { ERROR_TYPES } from '../contracts/errors.ts';

const causeOf = (error: unknown): unknown => (error instanceof ActivityFailure ? error.cause : error);

/** Whether the candidate failed, so that the run ends with a verdict; any other error fails the run. */
export function isCandidatesFault(error: unknown): boolean {
  const failure = causeOf(error);
  return (
    failure instanceof ApplicationFailure &&
    (failure.type === ERROR_TYPES.candidateFailed || failure.type === ERROR_TYPES.analysisInconclusive)
  );
}

export function failureReason(error: unknown): string {
  const failure = causeOf(error);
  return failure instanceof Error ? failure.message : String(failure);
}

/** Returns the failure of the run, with the message and type of the failed activity; other errors are unchanged. */
export function asRunFailure(error: unknown): unknown {
  const failure = causeOf(error);
  if (failure === error || !(failure instanceof ApplicationFailure)) return error;
  return ApplicationFailure.create({
    message: failure.message,
    ...(failure.type == null ? {} : { type: failure.type }),
    nonRetryable: true,
    cause: error as ActivityFailure,
  });
}
