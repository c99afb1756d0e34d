/** Makes the project's own tables in DATABASE_URL: what `npm start` does on one machine, and a worker's pod before it starts. */
import { applySchema } from '../infra/database.ts';
import { readDatabaseUrl } from '../config/environment.ts';

try {
  await applySchema(readDatabaseUrl());
} catch (error) {
  process.stderr.write(`the tables cannot be created: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
