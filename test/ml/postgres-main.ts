/** `postgres-main.ts DIR`: runs an empty PostgreSQL with the project's schema for Python's tests; prints its address; ends with its input. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ensureDatabases, migrate } from '../../infra/database.ts';
import { localDatabaseUrl, postgresProgram, preparePostgres } from '../../infra/local/postgres.ts';
import { answersSql } from '../../infra/local/readiness.ts';
import { choosePorts, localState, prepareState, readSecrets } from '../../infra/local/state.ts';
import { PROJECT_DIR } from '../platform.ts';

const START_ATTEMPTS = 150;

const [dir] = process.argv.slice(2);
if (dir === undefined) throw new Error('usage: postgres-main.ts DIR');
const state = localState(PROJECT_DIR, dir);
prepareState(state);
const secrets = readSecrets(state);
const { postgres: port } = await choosePorts(state, true);
const place = await preparePostgres(state, secrets, false, () => undefined);
const [program, ...args] = postgresProgram(place, port).command;
const server = spawn(program, args, { cwd: '/', stdio: ['ignore', 2, 2], ...(place.runAs ?? {}) });
const ended = once(server, 'exit');

const isUp = answersSql(localDatabaseUrl(secrets, port, 'postgres'));
for (let attempt = 1; ; attempt++) {
  try {
    await isUp();
    break;
  } catch (error) {
    if (attempt === START_ATTEMPTS || server.exitCode !== null) throw error;
    await sleep(100);
  }
}
await ensureDatabases(localDatabaseUrl(secrets, port, 'postgres'), ['shelfcast']);
const url = localDatabaseUrl(secrets, port, 'shelfcast');
await migrate(url);
process.stdout.write(`${url}\n`);

process.stdin.resume();
await once(process.stdin, 'end');
server.kill('SIGINT');
await ended;
rmSync(state.runDir, { recursive: true, force: true });
