/** Search attributes of runs in the namespace; without them, Temporal fails the first task of each run again and again. */
import type { NativeConnection } from '@temporalio/worker';
import { SEARCH_ATTRIBUTES } from '../contracts/names.ts';
import { describeError } from '../infra/error-text.ts';

/** `INDEXED_VALUE_TYPE_KEYWORD` of Temporal's API. */
const KEYWORD = 2;

/** Statuses of gRPC; UNAVAILABLE passes. */
const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;
const PERMISSION_DENIED = 7;
const UNIMPLEMENTED = 12;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

/** Statuses by which a server or a proxy before it refuses the operator's API, though runs may work. */
const REFUSALS: ReadonlySet<unknown> = new Set([PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED]);

type KnownAttributes = Record<string, number | null | undefined>;

/** The namespace has not the search attributes that runs need, and waiting does not help. */
export class SearchAttributesError extends Error {
  override readonly name = 'SearchAttributesError';
}

/**
 * Adds the search attributes that the namespace lacks.
 *
 * @returns a warning where this worker may not list them, so that nobody knows whether they are there
 * @throws SearchAttributesError one has another type, this worker may not add them (Temporal Cloud), or there is no namespace
 */
export async function ensureSearchAttributes(
  connection: NativeConnection,
  namespace: string,
): Promise<string | undefined> {
  const names = Object.values(SEARCH_ATTRIBUTES);
  let known: KnownAttributes;
  try {
    known = (await connection.operatorService.listSearchAttributes({ namespace })).customAttributes;
  } catch (cause) {
    return unlisted(cause, namespace, names);
  }
  const wrong = names.filter((name) => (known[name] ?? KEYWORD) !== KEYWORD);
  if (wrong.length > 0) {
    throw new SearchAttributesError(
      `the search attributes ${wrong.join(', ')} of the namespace ${namespace} must be of the type Keyword: remove them, or use another namespace (TEMPORAL_NAMESPACE)`,
    );
  }
  const missing = names.filter((name) => known[name] === undefined);
  if (missing.length === 0) return undefined;
  try {
    await connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map((name) => [name, KEYWORD])),
    });
  } catch (cause) {
    const status = (cause as { code?: unknown }).code;
    // Another worker was faster.
    if (status === ALREADY_EXISTS) return undefined;
    if (status === UNAVAILABLE) throw cause;
    throw new SearchAttributesError(
      `the namespace ${namespace} lacks search attributes, and this worker may not add them (${describeError(cause)}): ${howToAdd(namespace, missing)}`,
      { cause },
    );
  }
  return undefined;
}

/** Returns the warning for a refused list. @throws SearchAttributesError when there is no namespace; `cause` when it may pass */
function unlisted(cause: unknown, namespace: string, names: readonly string[]): string {
  const status = (cause as { code?: unknown }).code;
  if (status === NOT_FOUND) {
    throw new SearchAttributesError(
      `there is no namespace ${namespace}: create it with \`temporal operator namespace create --namespace ${namespace}\`, or correct TEMPORAL_NAMESPACE`,
      { cause },
    );
  }
  if (!REFUSALS.has(status)) throw cause;
  return `this worker may not list the search attributes of the namespace ${namespace} (${describeError(cause)}); if runs do not start, ${howToAdd(namespace, names)}`;
}

function howToAdd(namespace: string, names: readonly string[]): string {
  const attributes = names.map((name) => `--name ${name} --type Keyword`).join(' ');
  return `add them with \`temporal operator search-attribute create --namespace ${namespace} ${attributes}\`, or on the page of the namespace in Temporal Cloud`;
}
