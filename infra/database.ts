/** Databases of PostgreSQL, and the migrations of the project's tables. */
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { keepsSettings, nodeAddress, POOLER_ISSUE, sessionOptions } from '../contracts/database-address.ts';

const MIGRATIONS_DIR = fileURLToPath(new URL('migrations', import.meta.url));

/** Creates the databases that are missing. */
export async function ensureDatabases(adminUrl: string, names: readonly string[]): Promise<void> {
  await withDatabase(adminUrl, async (client) => {
    for (const name of names) {
      const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [name]);
      if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(name)}`);
    }
  });
}

/**
 * Applies the files of infra/migrations/ that the database does not have yet, each in one transaction, and records
 * them in ops.migration. Concurrent calls wait for each other.
 */
export async function migrate(databaseUrl: string): Promise<void> {
  // Imported here because the package takes half a second to load, and most commands do not need it.
  const { runner } = await import('node-pg-migrate');
  if (!(await keepsSettings((text) => withDatabase(databaseUrl, (client) => client.query(text))))) {
    throw new Error(`DATABASE_URL ${POOLER_ISSUE}`);
  }
  try {
    await withDatabase(databaseUrl, (client) =>
      runner({
        dbClient: client,
        dir: MIGRATIONS_DIR,
        direction: 'up',
        migrationsSchema: 'ops',
        migrationsTable: 'migration',
        createMigrationsSchema: true,
        advisoryLockMode: 'wait',
        // Errors are thrown as well.
        log: () => undefined,
      }),
    );
  } catch (cause) {
    const { host, pathname } = new URL(databaseUrl);
    const { message } = cause as Error;
    throw new Error(`applying infra/migrations to ${host}${pathname} failed: ${message}`, { cause });
  }
}

export async function withDatabase<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: nodeAddress(url),
    connectionTimeoutMillis: 3_000,
    options: sessionOptions(),
  });
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}
