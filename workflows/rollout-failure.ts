/** Distinction between a candidate that failed and a rollout that could not be carried out. */
import { ActivityFailure, ApplicationFailure } from '@temporalio/workflow';
import { ERROR_TYPES } from '../contracts/errors.ts';

const cause = (error: unknown): unknown => (error instanceof ActivityFailure ? error.cause : error);

/** True when the candidate failed, so that the run ends with a verdict; any other error fails the run. */
export function isCandidatesFault(error: unknown): boolean {
  const failure = cause(error);
  return (
    failure instanceof ApplicationFailure &&
    (failure.type === ERROR_TYPES.candidateFailed || failure.type === ERROR_TYPES.analysisInconclusive)
  );
}

export function failureReason(error: unknown): string {
  const failure = cause(error);
  return failure instanceof Error ? failure.message : String(failure);
}
