/** Text of an error for people. */

/** Returns the error's message and, in parentheses, that of its cause, unless the message says that already. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const inner = error instanceof AggregateError ? (error.errors[0] as unknown) : error.cause;
  if (!(inner instanceof Error)) return error.message || error.name;
  const reason = describeError(inner);
  // The error of a host with several addresses has no message of its own.
  if (error.message === '') return reason;
  return error.message.includes(reason) ? error.message : `${error.message} (${reason})`;
}
