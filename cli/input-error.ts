/** Errors of a command's options. */
import { readFileSync } from 'node:fs';
import { ShelfcastError } from '../client/shelfcast-error.ts';
import { userPath } from '../config/environment.ts';
import { ERROR_TYPES } from '../contracts/errors.ts';

export const inputError = (message: string, options?: ErrorOptions) =>
  new ShelfcastError(ERROR_TYPES.invalidInput, message, options);

/** Option of the command line that sets a value, like `--week-ends` for `weekEnds`. */
export const flagOf = (name: string): string =>
  `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/**
 * Returns the object of an option whose value is JSON or the path of a file that holds it.
 *
 * @throws ShelfcastError `InvalidInput` with an example
 */
export function readJsonObject(option: string, given: string, example: string): Record<string, unknown> {
  try {
    const text = given.trimStart().startsWith('{') ? given : readFileSync(userPath(given), 'utf8');
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch (cause) {
    const reason = (cause as Error).message;
    throw inputError(`${option} is neither JSON nor the path of a JSON file: ${reason}`, { cause });
  }
  throw inputError(`${option} must be a JSON object, for example ${example}`);
}
