/** Text of an error for messages. */

/** Returns the error's message and, in parentheses, the message of its cause, unless the first contains it. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const inner = error instanceof AggregateError ? (error.errors[0] as unknown) : error.cause;
  if (!(inner instanceof Error)) return error.message || error.name;
  const reason = describeError(inner);
  // The error of a host with several addresses has no message.
  if (error.message === '') return reason;
  return error.message.includes(reason) ? error.message : `${error.message} (${reason})`;
}
