/**
 * The `type` of every ApplicationFailure this project raises.
 * Only `ServiceUnavailable` and, until the stage has used up its jobs, `JobFailed` are retryable.
 */
export const ERROR_TYPES = {
  /** The pipeline's input has a wrong or contradictory value. */
  invalidInput: 'InvalidInput',
  /** The sales data break a rule (too many bad rows, no rows, unreadable file). */
  badData: 'BadData',
  /** Another run holds the model; there is at most one run of a model at a time. */
  modelBusy: 'ModelBusy',
  /** A job failed; a retry starts a new job, which resumes a training. */
  jobFailed: 'JobFailed',
  /** A service (PostgreSQL, MLflow, Ray, router) did not answer. */
  serviceUnavailable: 'ServiceUnavailable',
  /** The candidate did not become ready, failed requests, differs from its evaluation, or is worse than the champion. */
  candidateFailed: 'CandidateFailed',
  /** The analysis of a canary step stayed inconclusive in all its attempts. */
  analysisInconclusive: 'AnalysisInconclusive',
  /** A person aborted the run. */
  aborted: 'Aborted',
} as const;

export type ErrorType = (typeof ERROR_TYPES)[keyof typeof ERROR_TYPES];
