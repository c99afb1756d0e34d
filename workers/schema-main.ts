/** Applies infra/migrations to DATABASE_URL. A worker's pod runs it before the worker; on one machine `npm start` migrates. */
import { readDatabaseUrl } from '../config/environment.ts';
import { migrate } from '../infra/database.ts';

try {
  await migrate(readDatabaseUrl());
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
