/** Search attributes of runs in the namespace; without them, Temporal fails the first task of each run again and again. */
import type { NativeConnection } from '@temporalio/worker';
import { SEARCH_ATTRIBUTES } from '../contracts/names.ts';
import { describeError } from '../infra/error-text.ts';

/** `INDEXED_VALUE_TYPE_KEYWORD` of Temporal's API. */
const KEYWORD = 2;

/** Statuses of gRPC: ALREADY_EXISTS, and UNAVAILABLE, which passes. */
const ALREADY_EXISTS = 6;
const UNAVAILABLE = 14;

/** The namespace has not the search attributes that runs need, and waiting does not help. */
export class SearchAttributesError extends Error {
  override readonly name = 'SearchAttributesError';
}

/**
 * Adds the search attributes that the namespace lacks.
 *
 * @throws SearchAttributesError one has another type, or this worker may not add them (Temporal Cloud)
 */
export async function ensureSearchAttributes(connection: NativeConnection, namespace: string): Promise<void> {
  const names = Object.values(SEARCH_ATTRIBUTES);
  const { customAttributes: known } = await connection.operatorService.listSearchAttributes({ namespace });
  const wrong = names.filter((name) => (known[name] ?? KEYWORD) !== KEYWORD);
  if (wrong.length > 0) {
    throw new SearchAttributesError(
      `the search attributes ${wrong.join(', ')} of the namespace ${namespace} must be of the type Keyword: remove them, or use another namespace (TEMPORAL_NAMESPACE)`,
    );
  }
  const missing = names.filter((name) => known[name] === undefined);
  if (missing.length === 0) return;
  try {
    await connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map((name) => [name, KEYWORD])),
    });
  } catch (cause) {
    const status = (cause as { code?: unknown }).code;
    // Another worker was faster.
    if (status === ALREADY_EXISTS) return;
    if (status === UNAVAILABLE) throw cause;
    const commands = missing.map((name) => `--name ${name} --type Keyword`).join(' ');
    throw new SearchAttributesError(
      `the namespace ${namespace} lacks search attributes, and this worker may not add them (${describeError(cause)}): add them with \`temporal operator search-attribute create --namespace ${namespace} ${commands}\`, or on the page of the namespace in Temporal Cloud`,
      { cause },
    );
  }
}
