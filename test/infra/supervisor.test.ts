import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownProcesses, processStartTicks } from '../../infra/local/processes.ts';
import { waitUntilReady } from '../../infra/local/readiness.ts';
import { ProgramRunner } from '../../infra/local/runner.ts';
import type { LocalState } from '../../infra/local/state.ts';
import { localState, prepareState } from '../../infra/local/state.ts';
import type { Program } from '../../infra/local/supervisor-config.ts';
import { renderProgram } from '../../infra/local/supervisor-config.ts';
import { callSupervisor, FAULTS, SupervisorUnreachable } from '../../infra/local/supervisor-rpc.ts';
import {
  ensureProgram,
  ensureSupervisor,
  isSupervisorRunning,
  programStates,
  removeProgram,
  stopSupervisor,
  supervisorPid,
} from '../../infra/local/supervisor.ts';
import { killProgram, programPid, PROJECT_DIR } from '../platform.ts';

let dir: string;
let state: LocalState;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'shelfcast-supervisor-'));
  state = localState(PROJECT_DIR, join(dir, 'it is 100 % "odd"'));
  prepareState(state);
  await ensureSupervisor(state);
});
afterAll(async () => {
  await stopSupervisor(state);
  rmSync(dir, { recursive: true, force: true });
  rmSync(state.runDir, { recursive: true, force: true });
});

/** Writes its environment and arguments into `report`, then stays. */
function reporter(
  name: string,
  report: string,
  environment: Record<string, string>,
  args: string[] = [],
): Program {
  const script = join(dir, 'reporter.mjs');
  writeFileSync(
    script,
    `import { writeFileSync } from 'node:fs';
     writeFileSync(process.argv[2], JSON.stringify({ env: process.env, args: process.argv.slice(3) }));
     setInterval(() => undefined, 1_000);`,
  );
  return { name, command: [process.execPath, script, report, ...args], directory: dir, environment };
}

async function reported(path: string): Promise<{ env: Record<string, string>; args: string[] }> {
  for (;;) {
    try {
      return JSON.parse(readFileSync(path, 'utf8')) as { env: Record<string, string>; args: string[] };
    } catch {
      await sleep(50);
    }
  }
}

const pidOf = (name: string) => programPid(state, name);

describe('supervisor', { timeout: 60_000 }, () => {
  it('passes environment and arguments on unchanged', async () => {
    const report = join(dir, 'odd values');
    const environment = {
      PERCENT: '100 %(ENV_HOME)s %d',
      URL: 'postgresql://a:b@c:1/d?e=f',
      JSON: '{"a": "b, c"}',
      EMPTY: '',
    };
    const args = ['with space', 'quote " here', "and ' there", 'back\\slash', '50%', '$HOME', ''];
    await ensureProgram(state, reporter('odd', report, environment, args));
    const { env, args: received } = await reported(report);
    expect(env).toMatchObject({ ...environment, SHELFCAST_SUPERVISED_BY: state.runDir });
    expect(received).toEqual(args);
    await removeProgram(state, 'odd');
  });

  it('refuses what its configuration cannot hold', () => {
    const program = reporter('bad', 'report', {});
    expect(() => renderProgram(state, { ...program, environment: { A: 'line\nbreak' } })).toThrow(
      /line breaks/,
    );
    expect(() => renderProgram(state, { ...program, environment: { A: `"both' kinds` } })).toThrow(
      /both kinds of quotes/,
    );
    expect(() => renderProgram(state, { ...program, command: ['/bin/sh', 'a ;comment'] })).toThrow(/" ;"/);
    expect(() => renderProgram(state, { ...program, name: 'Bad Name' })).toThrow(/lower-case/);
  });

  it('starts a program once, restarts it when it changed or died, and forgets it', async () => {
    const program = reporter('one', join(dir, 'one'), { N: '1' });
    await ensureProgram(state, program);
    const first = await pidOf('one');
    await ensureProgram(state, program);
    expect(await pidOf('one')).toBe(first);

    const second = await killProgram(state, 'one');
    expect(second).not.toBe(first);

    await ensureProgram(state, { ...program, environment: { N: '2' } });
    const third = await pidOf('one');
    expect(third).not.toBe(second);
    expect(processStartTicks(second)).toBeNull();

    await removeProgram(state, 'one');
    await removeProgram(state, 'one');
    expect((await programStates(state)).has('one')).toBe(false);
    expect(processStartTicks(third)).toBeNull();
  });

  it('names the program that failed, the reason and its last log lines', async () => {
    const command = ['/bin/sh', '-c', 'echo "the disk is full"; exit 7'] as const;
    await ensureProgram(state, { name: 'broken', command, directory: dir, environment: {} });
    const never = () => Promise.reject(new Error('no answer'));
    const failure = waitUntilReady(state, 'broken', never, 5_000);
    await expect(failure).rejects.toThrow(
      /^broken did not become ready .*no answer.*(BACKOFF|FATAL)[^]*the disk is full/,
    );
    await removeProgram(state, 'broken');
  });

  it('reports which program it waits for, and the usual time', async () => {
    const lines: string[] = [];
    const runner = await ProgramRunner.open(state, new Set(['router']), [], (line) => lines.push(line));
    expect(runner.isStarting('router')).toBe(true);
    const readyAt = Date.now() + 1_000;
    const probe = () => (Date.now() < readyAt ? Promise.reject(new Error('not yet')) : Promise.resolve());
    await runner.start({ ...reporter('router', join(dir, 'router'), {}), name: 'router' }, probe, 200);
    expect(lines[0]).toMatch(/^waiting for router, which usually takes 2 to 10 s; its log is .*router\.log$/);
    expect(lines.at(-1)).toMatch(/^router is ready/);
    const count = lines.length;
    await sleep(500);
    expect(lines).toHaveLength(count);
    await removeProgram(state, 'router');
  });

  it('reports a refused call, and a supervisord that cannot be reached', async () => {
    await expect(callSupervisor(state.socketPath, 'startProcess', ['no <such> & "program"'])).rejects.toThrow(
      'supervisord refused startProcess(no <such> & "program"): BAD_NAME: no <such> & "program" (fault 10)',
    );
    const socketPath = join(dir, 'no.sock');
    await expect(callSupervisor(socketPath, 'getState')).rejects.toThrow(
      `supervisord did not answer getState() at ${socketPath}: connect ENOENT`,
    );
  });

  it.each([
    ['late', undefined, /^supervisord did not answer getState\(\) within 100 ms$/],
    ['wrongly', 500, /^supervisord answered getState\(\) with HTTP status 500$/],
  ])('is not taken for one that has ended when it answers %s', async (_name, status, message) => {
    const socketPath = join(dir, `${status}.sock`);
    const server = createServer((_request, response) => {
      if (status !== undefined) response.writeHead(status).end();
    });
    await once(server.listen(socketPath), 'listening');
    const error: unknown = await callSupervisor(socketPath, 'getState', [], 100).catch((e: unknown) => e);
    server.closeAllConnections();
    server.close();
    expect(error).not.toBeInstanceOf(SupervisorUnreachable);
    expect((error as Error).message).toMatch(message);
  });

  it('comes back after its own death without a second copy of anything', async () => {
    await ensureProgram(state, reporter('kept', join(dir, 'kept'), {}));
    const orphan = await pidOf('kept');
    const pid = supervisorPid(state) ?? 0;
    process.kill(pid, 'SIGKILL');
    while (processStartTicks(pid) !== null) await sleep(20);
    expect(await isSupervisorRunning(state)).toBe(false);
    expect(processStartTicks(orphan)).not.toBeNull();

    await ensureSupervisor(state);
    expect(processStartTicks(orphan)).toBeNull();
    expect((await programStates(state)).has('kept')).toBe(true);
  });

  it('leaves no process when it is stopped, not even one that left its group', async () => {
    const command = ['/bin/sh', '-c', 'setsid sleep 600 & exec sleep 600'] as const;
    await ensureProgram(state, { name: 'forker', command, directory: dir, environment: {} });
    while (ownProcesses(state).length < 2) await sleep(50);
    const pid = supervisorPid(state) ?? 0;
    await stopSupervisor(state);
    expect(ownProcesses(state)).toEqual([]);
    expect(processStartTicks(pid)).toBeNull();
    await stopSupervisor(state);
  });

  it('is stopped by two calls at once, and both wait for its end', async () => {
    prepareState(state);
    await ensureSupervisor(state);
    // It ends five seconds after it was told to.
    const [script, ready] = [join(dir, 'slow-to-stop'), join(dir, 'slow-is-ready')];
    writeFileSync(script, `trap 'sleep 5; exit 0' INT TERM; touch "$1"; while :; do sleep 0.1; done`);
    const command: [string, string, string] = ['/bin/sh', script, ready];
    await ensureProgram(state, { name: 'slow', command, directory: dir, environment: {} });
    await expect.poll(() => existsSync(ready), { timeout: 10_000 }).toBe(true);
    const pid = supervisorPid(state) ?? 0;
    const first = stopSupervisor(state);
    await expect
      .poll(() => callSupervisor(state.socketPath, 'getPID').catch((e: unknown) => e), { timeout: 5_000 })
      .toMatchObject({ code: FAULTS.shutdownState });
    await stopSupervisor(state);
    expect(processStartTicks(pid)).toBeNull();
    await first;
  });
});
