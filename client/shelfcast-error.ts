/** Error of the client: a sentence for people, and a type for programs. */
import type { ErrorType } from '../contracts/errors.ts';

export type ShelfcastErrorType =
  ErrorType | 'Cancelled' | 'Terminated' | 'TimedOut' | 'NotFound' | 'Refused' | 'Failed';

export class ShelfcastError extends Error {
  /** Type of contracts/errors.ts, or another way in which the run or the request ended. */
  readonly type: ShelfcastErrorType;

  constructor(type: ShelfcastErrorType, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ShelfcastError';
    this.type = type;
  }
}
