/** The error that callers of the client get: one sentence, and a type to decide by. */
import type { ErrorType } from '../contracts/errors.ts';

export type PipelineErrorType =
  ErrorType | 'Cancelled' | 'Terminated' | 'TimedOut' | 'NotFound' | 'Refused' | 'Failed';

export class PipelineError extends Error {
  /** Type of contracts/errors.ts, or another way in which the run or the request ended. */
  readonly type: PipelineErrorType;

  constructor(type: PipelineErrorType, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PipelineError';
    this.type = type;
  }
}
