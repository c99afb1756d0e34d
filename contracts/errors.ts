/**
 * Type of every ApplicationFailure that this project raises.
 * Only `ServiceUnavailable` and `JobFailed` are retryable. `JobFailed` is not retryable when the stage has used up its jobs
 * or when the job's result cannot be read.
 */
export const ERROR_TYPES = {
  /** The input of a run has an invalid or contradictory value. */
  invalidInput: 'InvalidInput',
  /** The sales data break a rule (too many bad rows, no rows, unreadable file). */
  badData: 'BadData',
  /** Another run holds the model; there is at most one run of a model at a time. */
  modelBusy: 'ModelBusy',
  /** A job failed. A retry starts a new job, which resumes a training. */
  jobFailed: 'JobFailed',
  /** A service (PostgreSQL, MLflow, Ray, router, Temporal) did not answer. */
  serviceUnavailable: 'ServiceUnavailable',
  /** A model cannot be read; or the candidate is not ready, fails requests, differs from its evaluation or is worse than the champion. */
  candidateFailed: 'CandidateFailed',
  /** The analysis of a canary step stayed inconclusive in all its attempts. */
  analysisInconclusive: 'AnalysisInconclusive',
  /** A person aborted the run. */
  aborted: 'Aborted',
} as const;

export type ErrorType = (typeof ERROR_TYPES)[keyof typeof ERROR_TYPES];
