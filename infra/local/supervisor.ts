/** One supervisord per state folder: started, asked and ended. It restarts whatever dies. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { endProcesses, ownProcesses, processStartTicks } from './processes.ts';
import type { LocalState } from './state.ts';
import { writeFileAtomically } from './state.ts';
import type { Program } from './supervisor-config.ts';
import { renderDaemon, renderProgram } from './supervisor-config.ts';

export interface ProgramState {
  /** STARTING and BACKOFF end in RUNNING or FATAL; STOPPED was asked for; EXITED ended and stays so. */
  state: 'STOPPED' | 'STARTING' | 'RUNNING' | 'BACKOFF' | 'STOPPING' | 'EXITED' | 'FATAL' | 'UNKNOWN';
  pid: number | null;
  /** What supervisord says beside it, e.g. `Exited too quickly`. */
  detail: string;
}

const configPath = (state: LocalState) => join(state.dir, 'supervisord.conf');
const programPath = (state: LocalState, name: string) => join(state.programsDir, `${name}.conf`);

/** Whether supervisord answers. A connection alone says little: a dying process' socket still takes one. */
export function isSupervisorRunning(state: LocalState): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(state.socketPath, () => socket.write('GET / HTTP/1.0\r\n\r\n'));
    const end = (isRunning: boolean) => {
      socket.destroy();
      resolve(isRunning);
    };
    socket.once('data', () => {
      end(true);
    });
    for (const event of ['error', 'close']) {
      socket.once(event, () => {
        end(false);
      });
    }
  });
}

/** Writes the program's file; true when it differs from what was there. */
export function writeProgram(state: LocalState, program: Program): boolean {
  return writeWhenChanged(programPath(state, program.name), renderProgram(state, program));
}

/** Starts supervisord unless it runs. What an earlier, killed one left behind is ended first. */
export async function ensureSupervisor(state: LocalState): Promise<void> {
  if (await isSupervisorRunning(state)) return;
  await endLeftovers(state);
  writeWhenChanged(configPath(state), renderDaemon(state, userInfo().uid === 0));
  const result = await execa(venvProgram(state, 'supervisord'), ['-c', configPath(state)], {
    reject: false,
    all: true,
    stdin: 'ignore',
    cwd: state.dir,
    // What is meant for this program would change the services.
    env: { NODE_OPTIONS: undefined, NODE_ENV: undefined, PYTHONPATH: undefined, PYTHONHOME: undefined },
  });
  if (result.failed) {
    throw new Error(
      `supervisord -c ${configPath(state)} failed: ${result.all.trim() || result.shortMessage}`,
    );
  }
  for (let waits = 0; waits < 100 && !(await isSupervisorRunning(state)); waits++) await sleep(50);
}

/** Ends supervisord and every program, and waits until no process is left. */
export async function stopSupervisor(state: LocalState): Promise<void> {
  if (await isSupervisorRunning(state)) {
    const pid = supervisorPid(state);
    await control(state, ['shutdown']);
    while (pid !== null && processStartTicks(pid) !== null) await sleep(100);
  }
  await endLeftovers(state);
  rmSync(state.runDir, { recursive: true, force: true });
}

export function supervisorPid(state: LocalState): number | null {
  const path = join(state.runDir, 'supervisord.pid');
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : null;
}

/** Ends what a killed supervisord left behind. */
export const endLeftovers = (state: LocalState): Promise<void> =>
  // PostgreSQL takes SIGINT as "fast shutdown"; to the others it is as good as SIGTERM.
  endProcesses(() => ownProcesses(state), { first: 'SIGINT', graceMs: 5_000 });

/** Makes the program run as described: adds it, or restarts it when its description changed or it gave up. */
export async function ensureProgram(state: LocalState, program: Program): Promise<void> {
  writeProgram(state, program);
  await applyPrograms(state, [program.name]);
  const now = (await programStates(state)).get(program.name);
  if (now && ['FATAL', 'EXITED', 'STOPPED'].includes(now.state)) await startPrograms(state, [program.name]);
}

/** Ends the program and forgets it. One that does not exist is no error. */
export async function removeProgram(state: LocalState, name: string): Promise<void> {
  rmSync(programPath(state, name), { force: true });
  if (await isSupervisorRunning(state)) await applyPrograms(state, [name]);
}

/** Ends and starts the program as supervisord does it: with its stop signal, not by a kill. */
export async function restartProgram(state: LocalState, name: string): Promise<void> {
  await control(state, ['restart', name]);
}

/** Starts programs that do not run; waits until each ran for a second or failed. Failure shows in `programStates`. */
export async function startPrograms(state: LocalState, names: string[]): Promise<void> {
  if (names.length > 0) await control(state, ['start', ...names]);
}

/** Makes supervisord take over the changed, new and removed files of these programs. */
export async function applyPrograms(state: LocalState, names: string[]): Promise<void> {
  if (names.length === 0) return;
  const output = await control(state, ['update', ...names]);
  // `update` of a name that is neither running nor described says so; that is what removal wants.
  const problems = output.split('\n').filter((line) => /^ERROR|CANT_REREAD/.test(line));
  const unexpected = problems.filter((line) => !line.includes('no such group'));
  if (unexpected.length > 0)
    throw new Error(`supervisorctl update ${names.join(' ')}: ${unexpected.join('; ')}`);
}

/** All programs that supervisord knows, by name; empty when it does not run. */
export async function programStates(state: LocalState): Promise<Map<string, ProgramState>> {
  const states = new Map<string, ProgramState>();
  if (!(await isSupervisorRunning(state))) return states;
  for (const line of (await control(state, ['status'])).split('\n')) {
    const match = /^(\S+)\s+([A-Z]+)\s*(.*)$/.exec(line);
    const [, name, word, detail = ''] = match ?? [];
    if (name === undefined || word === undefined) continue;
    const pid = /^pid (\d+)/.exec(detail)?.[1];
    states.set(name, {
      state: word as ProgramState['state'],
      pid: pid === undefined ? null : Number(pid),
      detail,
    });
  }
  return states;
}

/** The last lines of a program's log, for error messages. */
export function logTail(state: LocalState, name: string, lines = 15): string {
  const path = join(state.logsDir, `${name}.log`);
  if (!existsSync(path)) return `(${path} does not exist)`;
  return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}

async function control(state: LocalState, args: string[]): Promise<string> {
  const result = await execa(venvProgram(state, 'supervisorctl'), ['-c', configPath(state), ...args], {
    reject: false,
    all: true,
    stdin: 'ignore',
  });
  // 4 is "cannot reach supervisord"; others tell of programs, which callers read from the states.
  if (result.exitCode === undefined || result.exitCode === 4) {
    throw new Error(
      `supervisorctl ${args.join(' ')} failed on ${state.socketPath}: ${result.all || result.shortMessage}`,
    );
  }
  return result.all;
}

const venvProgram = (state: LocalState, name: string) => join(state.venvDir, 'bin', name);

function writeWhenChanged(path: string, text: string): boolean {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return false;
  writeFileAtomically(path, text, 0o600);
  return true;
}
