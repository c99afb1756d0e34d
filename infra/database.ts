/** PostgreSQL, wherever it runs: databases and the project's own tables. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

const SCHEMA_FILE = fileURLToPath(new URL('schema.sql', import.meta.url));
/** Any number that nothing else in the database locks. */
const SCHEMA_LOCK = 7_262_410;

/** Makes the databases that are missing. */
export async function ensureDatabases(adminUrl: string, names: readonly string[]): Promise<void> {
  await withClient(adminUrl, async (client) => {
    for (const name of names) {
      const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [name]);
      if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(name)}`);
    }
  });
}

/** Applies infra/schema.sql; it may be repeated, and by several at once. */
export async function applySchema(databaseUrl: string): Promise<void> {
  const schema = readFileSync(SCHEMA_FILE, 'utf8');
  await withClient(databaseUrl, (client) =>
    // One message is one transaction. `if not exists` alone does not keep two that run at once apart.
    client.query(`select pg_advisory_xact_lock(${SCHEMA_LOCK});\n${schema}`),
  );
}

export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3_000 });
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}
