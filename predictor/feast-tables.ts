/** Reads rows of Feast's PostgreSQL online tables: one query per view, however many entities are asked for. */
import pg from 'pg';
import { RequestError } from './errors.ts';
import { decodeFeastValue } from './feast-value.ts';

const SECONDS_PER_DAY = 86_400;
/** A query may take this long before the request is refused; a hung database must not hold requests for ever. */
const QUERY_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 2_000;

/** Values of some entities and columns of a view, row-major by entity. */
export interface FeatureBlock {
  readonly names: readonly string[];
  /** NaN where the value is null or absent; `days` tells which. */
  readonly values: Float64Array;
  /** Event day (days since 1970-01-01 UTC) of each value; null values have one, absent values have `ABSENT`. */
  readonly days: Int32Array;
  /** 1 where the entity has at least one of the columns. */
  readonly known: Uint8Array;
}

export const ABSENT = -2_147_483_648;

export function openPool(databaseUrl: string): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 8,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'shelfcast-predictor',
  });
  // An idle connection that breaks is replaced at the next request; without a listener it would end the process.
  pool.on('error', () => undefined);
  return pool;
}

/** Each known entity comes back as one row: frames of int4 column, int4 event day, int4 length, value. */
const blockQuery = (table: string): string => `
  select k.i::int as entity,
    string_agg(
      int4send(f.j::int)
        || int4send(floor(extract(epoch from o.event_ts) / ${SECONDS_PER_DAY})::int)
        || int4send(octet_length(coalesce(o.value, ''::bytea)))
        || coalesce(o.value, ''::bytea),
      ''::bytea) as frames
  from unnest($1::bytea[]) with ordinality as k (entity_key, i)
  join feast_online.${pg.escapeIdentifier(table)} o on o.entity_key = k.entity_key
  join unnest($2::text[]) with ordinality as f (name, j) on f.name = o.feature_name
  group by k.i`;

function numeric(bytes: Buffer, start: number, end: number, table: string, column: string): number {
  try {
    const value = decodeFeastValue(bytes, start, end);
    if (value === null) return NaN;
    if (typeof value === 'boolean') return value ? 1 : 0;
    if (typeof value === 'number') return value;
    throw new TypeError('it is a text, and a model takes numbers');
  } catch (cause) {
    throw new RequestError(
      500,
      'UNREADABLE_FEATURE',
      `The value of "${column}" in feast_online."${table}" cannot be used: ${(cause as Error).message}.`,
      { feature: column },
      { cause },
    );
  }
}

function fillRow(
  block: FeatureBlock,
  entity: number,
  frames: Buffer,
  table: string,
  names: readonly string[],
): void {
  const width = names.length;
  block.known[entity] = 1;
  for (let at = 0; at < frames.length;) {
    const column = frames.readInt32BE(at) - 1;
    const length = frames.readInt32BE(at + 8);
    const start = at + 12;
    const cell = entity * width + column;
    block.days[cell] = frames.readInt32BE(at + 4);
    block.values[cell] = numeric(frames, start, start + length, table, names[column] ?? '');
    at = start + length;
  }
}

/** Tells a database that is away from tables that are not there yet. */
export function databaseError(cause: unknown, attempt: string): RequestError {
  if (cause instanceof RequestError) return cause;
  const { message, code } = cause as { message?: string; code?: string };
  const missing = code === '42P01' || code === '3F000';
  return new RequestError(
    503,
    'FEATURES_UNAVAILABLE',
    missing
      ? `${attempt} failed: ${message ?? ''}. The features of this model were never materialized here; run the pipeline.`
      : `${attempt} failed: ${message === undefined || message === '' ? (code ?? 'no answer') : message}. Try again when the database answers.`,
    {},
    { cause },
  );
}

/** @throws RequestError 503 when the database does not answer or has no such table. */
export async function readBlock(
  pool: pg.Pool,
  table: string,
  entityKeys: readonly Buffer[],
  names: readonly string[],
): Promise<FeatureBlock> {
  const cells = entityKeys.length * names.length;
  const block: FeatureBlock = {
    names,
    values: new Float64Array(cells).fill(NaN),
    days: new Int32Array(cells).fill(ABSENT),
    known: new Uint8Array(entityKeys.length),
  };
  const result = await pool
    .query<{ entity: number; frames: Buffer | null }>({
      name: `block:${table}`,
      text: blockQuery(table),
      values: [entityKeys, names],
    })
    .catch((cause: unknown) => {
      throw databaseError(cause, `Reading feast_online."${table}"`);
    });
  for (const { entity, frames } of result.rows) {
    if (frames !== null) fillRow(block, entity - 1, frames, table, names);
  }
  return block;
}
