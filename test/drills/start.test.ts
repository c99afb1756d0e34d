/** The commands that a person types, on a state folder of their own: start, status, schedule, stop. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Endpoints } from '../../contracts/endpoints.ts';
import { ownProcesses, processStartTicks } from '../../infra/local/processes.ts';
import { stopServices } from '../../infra/local/services.ts';
import { localState } from '../../infra/local/state.ts';
import { supervisorPid } from '../../infra/local/supervisor.ts';
import { PROJECT_DIR } from '../platform.ts';
import { SMALL } from './pipelines.ts';

const state = localState(PROJECT_DIR, join(PROJECT_DIR, '.shelfcast', 'test', 'start'));
const config = { projectDir: PROJECT_DIR, stateDir: state.dir, addresses: {} };
const INPUT = JSON.stringify(SMALL);

const shelfcast = (...args: string[]) =>
  execa('node', [join(PROJECT_DIR, 'cli', 'shelfcast.mjs'), ...args], {
    env: { SHELFCAST_HOME: state.dir },
    reject: false,
  });
/** Leads a process group, so that one signal reaches all that it starts. */
const npmStart = (...args: string[]) =>
  execa('npm', ['start', '--silent', '--', ...args], {
    cwd: PROJECT_DIR,
    env: { SHELFCAST_HOME: state.dir },
    reject: false,
    detached: true,
  });
const status = async (): Promise<Endpoints> =>
  JSON.parse((await shelfcast('status', '--json')).stdout) as Endpoints;

describe('the command line', { timeout: 300_000 }, () => {
  beforeAll(async () => {
    await stopServices(config);
    rmSync(state.dir, { recursive: true, force: true });
  });
  afterAll(() => stopServices(config));

  test('says what is wrong with the input before anything is started', async () => {
    const wrong = await shelfcast('start', '--input', '{"horizonWeeks": 99}');
    expect(wrong.exitCode).toBe(2);
    expect(wrong.stderr).toContain('horizonWeeks');
    const missing = await shelfcast('run', '--data', 'no-such-folder');
    expect(missing.exitCode).toBe(2);
    expect(missing.stderr).toContain('no-such-folder');
    expect((await shelfcast('status')).exitCode).toBe(1);
    expect(ownProcesses(state)).toEqual([]);
  });

  test('npm start, cut off by a power cut in train, goes on with the same run and ends with forecasts', async () => {
    const first = npmStart('--input', INPUT);
    await new Promise<void>((resolve, reject) => {
      first.stderr.on('data', (chunk: Buffer) => {
        if (chunk.toString().includes('train running')) resolve();
      });
      void first.then(({ stderr }) => {
        reject(new Error(`npm start ended early: ${stderr}`));
      });
    });
    killEverything();
    // npm and the processes that it started: they would wait five minutes for Temporal.
    if (first.pid === undefined) throw new Error('npm start has no process');
    process.kill(-first.pid, 'SIGKILL');
    await first;

    const second = await npmStart('--input', INPUT);
    expect(second.stderr).toContain('following the run pipeline:sales-forecast');
    expect(second.stderr).not.toContain('ingest running');
    expect(second.exitCode).toBe(0);
    expect(second.stdout).toMatch(/model .*naive .*seasonal naive .*best reachable/s);
    expect(second.stdout).toMatch(/ingest.*features.*train.*evaluate.*rollout.*monitor/);
    const endpoints = await status();
    for (const address of [endpoints.temporalUi, endpoints.mlflow, endpoints.predictor]) {
      expect(second.stdout).toContain(address);
      expect((await fetch(`${address}/${address === endpoints.predictor ? 'healthz' : ''}`)).status).toBe(
        200,
      );
    }
    const curl = /^ {2}(curl .*)$/m.exec(second.stdout)?.[1] ?? '';
    const answer = await execa('sh', ['-c', curl]);
    const { predictions } = JSON.parse(answer.stdout) as { predictions: { forecast: number }[] };
    expect(predictions).toHaveLength(1);
    expect(second.stdout).toContain(`$${predictions[0]?.forecast.toFixed(0) ?? ''}`);
  });

  test('npm start again starts nothing and shows the result that is there', async () => {
    const before = await status();
    const again = await npmStart('--input', INPUT);
    expect(again.exitCode).toBe(0);
    expect(again.stderr).toContain('`npx shelfcast run` starts another');
    expect(again.stdout).toContain('best reachable');
    // Generated data, which is what runs when nothing is asked for, must not replace a model in use.
    const plain = await npmStart();
    expect(plain.exitCode).toBe(0);
    expect(plain.stdout).toBe(again.stdout);
    expect((await status()).pids).toEqual(before.pids);
  });

  test('status is endpoints.json, with the ids of living processes', async () => {
    const endpoints = await status();
    expect(endpoints).toEqual(JSON.parse(readFileSync(join(state.dir, 'endpoints.json'), 'utf8')));
    const names = Object.keys(endpoints.pids).sort();
    expect(names).toEqual(
      ['mlflow', 'postgres', 'predictor-sales-forecast-1', 'ray', 'router', 'temporal', 'worker'].sort(),
    );
    expect(Object.values(endpoints.pids).every((pid) => processStartTicks(pid) !== null)).toBe(true);
    expect(JSON.stringify(endpoints)).not.toMatch(/postgres:[^@/]+@/);
  });

  test('a schedule is made, shown and deleted', async () => {
    const made = await shelfcast('schedule', 'create', '--cron', '30 4 * * 2', '--input', INPUT);
    expect(made.exitCode).toBe(0);
    expect(JSON.parse((await shelfcast('schedule', 'show')).stdout)).toMatchObject({
      id: 'schedule:sales-forecast',
      paused: false,
    });
    const wrong = await shelfcast('schedule', 'create', '--cron', 'tomorrow');
    expect(wrong.exitCode).toBe(2);
    expect(wrong.stderr).toContain('the cron expression "tomorrow" is not valid');
    expect((await shelfcast('schedule', 'delete')).exitCode).toBe(0);
    const gone = await shelfcast('schedule', 'show');
    expect(gone.exitCode).toBe(1);
    expect(gone.stderr).toContain('shelfcast schedule create');
  });

  test('a run is started, followed by another process, and aborted', async () => {
    expect((await shelfcast('run', '--detach', '--input', INPUT)).stdout).toBe('pipeline:sales-forecast');
    const busy = await shelfcast('run', '--input', INPUT);
    expect(busy.exitCode).toBe(1);
    expect(busy.stderr).toContain('running already');
    expect((await shelfcast('approve')).stderr).toContain('does not wait for an approval');
    const watch = shelfcast('watch');
    expect((await shelfcast('abort', '--reason', 'only a drill')).exitCode).toBe(0);
    const watched = await watch;
    expect(watched.exitCode).toBe(1);
    expect(watched.stderr).toContain('aborted: only a drill');
  });

  test('npm stop ends every process and loses nothing', async () => {
    const stopped = await execa('npm', ['stop', '--silent'], {
      cwd: PROJECT_DIR,
      env: { SHELFCAST_HOME: state.dir },
    });
    expect(stopped.exitCode).toBe(0);
    expect(ownProcesses(state)).toEqual([]);
    const started = await npmStart('--services-only');
    expect(started.exitCode).toBe(0);
    const endpoints = await status();
    const model = await fetch(`${endpoints.predictor}/v1/models/sales-forecast`);
    expect(model.status).toBe(200);
  });
});

/** Kills all processes like a power cut; supervisord first, so that it restarts nothing. */
function killEverything(): void {
  const supervisor = supervisorPid(state);
  if (supervisor === null) throw new Error('supervisord is not running');
  process.kill(supervisor, 'SIGKILL');
  for (const pid of ownProcesses(state)) process.kill(pid, 'SIGKILL');
}
