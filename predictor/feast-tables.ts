/**
 * Reads of Feast's online tables, which have one row per entity (docs/decisions/0019). One query reads a view for any number of
 * entities.
 */
import pg from 'pg';
import { nodeAddress, sessionOptions } from '../contracts/database-address.ts';
import { RequestError } from './errors.ts';

const SECONDS_PER_DAY = 86_400;
/** Time limit of a query: a database that hangs must not hold requests for ever. */
const QUERY_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 2_000;
const UNDEFINED_COLUMN = '42703';
/** SQLSTATE of a prepared statement whose columns have changed their types since. */
const CHANGED_COLUMNS = '0A000';

/** Join keys of N entities of a view. */
export interface Entities {
  readonly names: readonly string[];
  /** PostgreSQL type of all keys; the views of contracts/model.ts have no other. */
  readonly type: 'bigint' | 'text';
  /** [keys][N]: the values of each key. */
  readonly values: readonly (readonly (number | string)[])[];
}

/** Values of some entities and columns of a view, row-major by entity. */
export interface FeatureBlock {
  readonly names: readonly string[];
  /** NaN where the value is unknown or the entity is missing; `days` distinguishes the two. */
  readonly values: Float64Array;
  /** Event day of each entity (days since 1970-01-01 UTC), or `ABSENT`. */
  readonly days: Int32Array;
}

/** Value of a row; text for types that are not numbers. */
type Cell = number | string | null;

export const ABSENT = -2_147_483_648;

export function openPool(databaseUrl: string): pg.Pool {
  const pool = new pg.Pool({
    connectionString: nodeAddress(databaseUrl),
    max: 8,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'shelfcast-predictor',
    // PostgreSQL would otherwise plan each request anew, which takes longer than the read, and go on with a query that nobody
    // waits for.
    options: sessionOptions({
      plan_cache_mode: 'force_generic_plan',
      statement_timeout: String(QUERY_TIMEOUT_MS),
    }),
  });
  // The pool replaces an idle connection that breaks; without a listener its error would end the process.
  pool.on('error', () => undefined);
  return pool;
}

const { builtins } = pg.types;
/** PostgreSQL sends the shortest text that identifies a number; the text of a real identifies 32 bits only. */
const numberOf = new Map<number, (text: string) => number>([
  [builtins.FLOAT8, Number],
  [builtins.FLOAT4, (text) => Math.fround(Number(text))],
  [builtins.INT8, Number],
  [builtins.INT4, Number],
  [builtins.BOOL, (text) => (text === 't' ? 1 : 0)],
]);
const asText = (text: string): string => text;
const types = { getTypeParser: (oid: number) => numberOf.get(oid) ?? asText };

/** Returns one row per known entity: its number from 1, its event day, its values. */
function blockQuery(table: string, entities: Entities, names: readonly string[]): string {
  const keys = entities.names.map((name) => pg.escapeIdentifier(name)).join(', ');
  const arrays = entities.names.map((_name, i) => `$${i + 1}::${entities.type}[]`).join(', ');
  const columns = names.map((name) => `, o.${pg.escapeIdentifier(name)}`).join('');
  return `
    select k.number::int, floor(extract(epoch from o.event_ts) / ${SECONDS_PER_DAY})::int${columns}
    from unnest(${arrays}) with ordinality as k (${keys}, number)
    join feast_online.${pg.escapeIdentifier(table)} o using (${keys})`;
}

/** Distinguishes an unreachable database from tables that do not exist yet. */
export function databaseError(cause: unknown, attempt: string): RequestError {
  if (cause instanceof RequestError) return cause;
  const { message, code } = cause as { message?: string; code?: string };
  const missing = code === '42P01' || code === '3F000';
  return new RequestError(
    503,
    'FEATURES_UNAVAILABLE',
    missing
      ? `${attempt} failed: ${message ?? ''}. This database has no features of the model; run the pipeline.`
      : `${attempt} failed: ${message === undefined || message === '' ? (code ?? 'no answer') : message}. Try again when the database answers.`,
    {},
    { cause },
  );
}

/** Cancels what a connection runs. It has a connection of its own, since the pool may have none left to give. */
async function cancelQuery(pool: pg.Pool, processID: number): Promise<void> {
  const other = new pg.Client(pool.options);
  // Without a listener, an error of the connection would end the process.
  other.on('error', () => undefined);
  try {
    await other.connect();
    await other.query('select pg_cancel_backend($1)', [processID]);
  } finally {
    await other.end();
  }
}

/** Runs a query until the signal is aborted, which cancels it in PostgreSQL. @throws the reason of the signal */
export async function runUntil<Row extends pg.QueryResultRow>(
  pool: pg.Pool,
  signal: AbortSignal,
  text: string,
  values: readonly unknown[],
): Promise<Row[]> {
  const client = await pool.connect();
  let cancelled: Promise<unknown> | undefined;
  const cancel = (): void => {
    const { processID } = client as pg.PoolClient & { processID: number };
    cancelled = cancelQuery(pool, processID).catch(() => undefined);
  };
  signal.addEventListener('abort', cancel, { once: true });
  let failed = true;
  try {
    signal.throwIfAborted();
    const { rows } = await client.query<Row>(text, [...values]);
    failed = false;
    return rows;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', cancel);
    // A cancellation that came late must not reach the next query of the connection.
    await cancelled;
    client.release(failed || cancelled !== undefined);
  }
}

/** Finds the missing column in the catalog; PostgreSQL's error names it in prose only. */
async function missingColumn(
  pool: pg.Pool,
  table: string,
  wanted: readonly string[],
): Promise<string | undefined> {
  const { rows } = await pool.query<{ column_name: string }>(
    "select column_name from information_schema.columns where table_schema = 'feast_online' and table_name = $1",
    [table],
  );
  const there = new Set(rows.map((row) => row.column_name));
  return wanted.find((name) => !there.has(name));
}

/**
 * Runs a query. A failed query closes its connection, which after a timeout still waits for the answer and would delay the next
 * query. If the connection's prepared statements no longer fit the tables, the query runs again on another connection.
 */
async function run(pool: pg.Pool, query: pg.QueryArrayConfig): Promise<pg.QueryArrayResult<Cell[]>> {
  const client = await pool.connect();
  try {
    const result = await client.query<Cell[]>(query);
    client.release();
    return result;
  } catch (error) {
    client.release(true);
    if ((error as { code?: string }).code !== CHANGED_COLUMNS) throw error;
  }
  return run(pool, query);
}

/**
 * @param statement Name of the prepared statement, unique to the table and columns; PostgreSQL plans it once.
 * @throws RequestError 503 when the database does not answer or has no such table, 409 when the table lacks a
 *   column, 500 when a value is not a number.
 */
export async function readBlock(
  pool: pg.Pool,
  table: string,
  statement: string,
  entities: Entities,
  names: readonly string[],
): Promise<FeatureBlock> {
  const count = entities.values[0]?.length ?? 0;
  const block: FeatureBlock = {
    names,
    values: new Float64Array(count * names.length).fill(NaN),
    days: new Int32Array(count).fill(ABSENT),
  };
  const result = await run(pool, {
    name: statement,
    text: blockQuery(table, entities, names),
    values: [...entities.values],
    rowMode: 'array',
    types,
  }).catch(async (cause: unknown) => {
    throw (cause as { code?: string }).code === UNDEFINED_COLUMN
      ? await missingError(pool, table, [...entities.names, ...names], cause)
      : databaseError(cause, `Reading feast_online."${table}"`);
  });
  for (const row of result.rows) fillRow(block, row, table);
  return block;
}

async function missingError(
  pool: pg.Pool,
  table: string,
  wanted: readonly string[],
  cause: unknown,
): Promise<RequestError> {
  const feature = await missingColumn(pool, table, wanted).catch((error: unknown) => {
    throw databaseError(error, `Reading the columns of feast_online."${table}"`);
  });
  return new RequestError(
    409,
    'MISSING_FEATURES',
    `feast_online."${table}" has no column "${feature ?? ''}", which the model needs; run the pipeline to materialize it.`,
    { table, feature },
    { cause },
  );
}

function fillRow(block: FeatureBlock, row: readonly Cell[], table: string): void {
  const [number, day, ...values] = row;
  const entity = Number(number) - 1;
  block.days[entity] = Number(day);
  values.forEach((value, column) => {
    if (typeof value === 'string') {
      const name = block.names[column] ?? '';
      throw new RequestError(
        500,
        'UNREADABLE_FEATURE',
        `The value of "${name}" in feast_online."${table}" cannot be used: it is a text, and a model takes numbers.`,
        { feature: name },
      );
    }
    if (value !== null) block.values[entity * block.names.length + column] = value;
  });
}
