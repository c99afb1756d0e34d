/** The command `inspect`, which runs a Python program, needs no services and loads nothing. */
import { userPath } from '../config/environment.ts';
import { isUrl } from '../contracts/source.ts';
import type { DeclarationOptions } from './declaration.ts';
import { splitDeclaration } from './declaration.ts';
import { runPython } from './python.ts';

export interface InspectOptions extends DeclarationOptions {
  query?: string;
  addressVariable?: string;
  write?: string;
}

/** Resolves to the exit code of the Python program. */
export const inspect = (data: string | undefined, options: InspectOptions): Promise<number> =>
  runPython('shelfcast.inspection', argumentsOf(data, options));

/** Arguments of the Python program. */
export function argumentsOf(
  data: string | undefined,
  { query, addressVariable, write, ...declarationOptions }: InspectOptions,
): string[] {
  const { declaration } = splitDeclaration(declarationOptions);
  const values = {
    data: data === undefined || isUrl(data) ? data : userPath(data),
    query,
    'address-variable': addressVariable,
    declaration: declaration === undefined ? undefined : JSON.stringify(declaration),
    write: write === undefined ? undefined : userPath(write),
  };
  return Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]));
}
