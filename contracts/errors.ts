/**
 * The `type` of every ApplicationFailure this project raises.
 * Retryable are `ServiceUnavailable` and, until its jobs are used up, `JobFailed`; for the others trying again cannot help.
 */
export const ERROR_TYPES = {
  /** The pipeline's input has a wrong or contradictory value. */
  invalidInput: 'InvalidInput',
  /** The sales data break a rule (too many bad rows, no rows, unreadable file). */
  badData: 'BadData',
  /** Another run holds the model: one run a model at a time. */
  modelBusy: 'ModelBusy',
  /** A Ray job or training job ended as failed; a retry starts a new job (and resumes a training). */
  jobFailed: 'JobFailed',
  /** A service (PostgreSQL, MLflow, Ray, router) did not answer. */
  serviceUnavailable: 'ServiceUnavailable',
  /** The candidate could not be made ready, or disagreed with its own evaluation. */
  candidateFailed: 'CandidateFailed',
  /** The analysis of a canary step stayed inconclusive in all its attempts. */
  analysisInconclusive: 'AnalysisInconclusive',
  /** A person aborted the run. */
  aborted: 'Aborted',
} as const;

export type ErrorType = (typeof ERROR_TYPES)[keyof typeof ERROR_TYPES];
