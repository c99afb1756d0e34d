/** Recognition of errors that mean a service is temporarily unavailable. */
import { ApplicationFailure } from '@temporalio/common';
import { ERROR_TYPES } from '../contracts/errors.ts';
import { describeError } from '../infra/error-text.ts';
import { HttpError } from '../infra/http.ts';

const CONNECTION_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  // PostgreSQL: shut down by an administrator, crashed, starting up, connection failed.
  '57P01',
  '57P02',
  '57P03',
  '08000',
  '08003',
  '08006',
]);

/** Whether the error, or one that caused it, says that a service could not be reached or is starting up. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as NodeJS.ErrnoException).code;
  if (code !== undefined && CONNECTION_CODES.has(code)) return true;
  if (error.name === 'TimeoutError') return true;
  // pg gives no code to a closed connection or a connection timeout.
  if (/^(Connection terminated|timeout exceeded when trying to connect)/.test(error.message)) return true;
  if (error instanceof HttpError && error.isUnavailable) return true;
  if (error instanceof AggregateError && error.errors.some(isUnavailable)) return true;
  return isUnavailable(error.cause);
}

/**
 * Turns connection errors of every activity into a retryable `ServiceUnavailable`, so that the Temporal UI and the CLI
 * show which service a run waits for. Other errors pass unchanged.
 */
export function withServiceErrors<T extends object>(activities: T): T {
  const wrapped = Object.entries(activities).map(([name, activity]) => [
    name,
    async (...args: unknown[]): Promise<unknown> => {
      try {
        return await (activity as (...args: unknown[]) => Promise<unknown>)(...args);
      } catch (error) {
        if (error instanceof ApplicationFailure || !isUnavailable(error)) throw error;
        throw ApplicationFailure.create({
          type: ERROR_TYPES.serviceUnavailable,
          message: `${name}: ${describeError(error)}; the activity is retried until the service answers`,
          ...(error instanceof Error ? { cause: error } : {}),
        });
      }
    },
  ]);
  return Object.fromEntries(wrapped) as T;
}
