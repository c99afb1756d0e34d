/** Control of supervisord, which restarts programs that end. Each state folder has one. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { z } from 'zod';
import { writeFileAtomically } from '../atomic-file.ts';
import { endProcesses, ownProcesses, processStartTicks } from './processes.ts';
import type { LocalState } from './state.ts';
import type { Program } from './supervisor-config.ts';
import { renderDaemon, renderProgram } from './supervisor-config.ts';
import { callSupervisor, FAULTS, SupervisorFault, SupervisorUnreachable } from './supervisor-rpc.ts';

const processSchema = z.object({
  name: z.string(),
  /** STARTING and BACKOFF end in RUNNING or FATAL; STOPPED was asked for; EXITED is about to be started again. */
  statename: z.enum(['STOPPED', 'STARTING', 'RUNNING', 'BACKOFF', 'STOPPING', 'EXITED', 'FATAL', 'UNKNOWN']),
  /** 0 when there is no process. */
  pid: z.int(),
  description: z.string(),
});

export interface ProgramState {
  state: z.infer<typeof processSchema>['statename'];
  pid: number | null;
  /** supervisord's remark, e.g. `Exited too quickly`. */
  detail: string;
}

const configPath = (state: LocalState) => join(state.dir, 'supervisord.conf');
const programPath = (state: LocalState, name: string) => join(state.programsDir, `${name}.conf`);

/** Whether supervisord answers. A connection alone proves little: the socket of a dying process accepts one. */
export async function isSupervisorRunning(state: LocalState): Promise<boolean> {
  try {
    await call(state, 'getState');
    return true;
  } catch (error) {
    if (error instanceof SupervisorFault) return true;
    if (error instanceof SupervisorUnreachable) return false;
    throw error;
  }
}

/** Writes the program's file; returns true when that changed it. */
export function writeProgram(state: LocalState, program: Program): boolean {
  return writeWhenChanged(programPath(state, program.name), renderProgram(state, program));
}

/** Starts supervisord unless it runs. First ends the processes that a killed supervisord left behind. */
export async function ensureSupervisor(state: LocalState): Promise<void> {
  if (await isSupervisorRunning(state)) return;
  await endLeftovers(state);
  writeWhenChanged(configPath(state), renderDaemon(state, userInfo().uid === 0));
  const result = await execa(join(state.venvDir, 'bin', 'supervisord'), ['-c', configPath(state)], {
    reject: false,
    all: true,
    stdin: 'ignore',
    cwd: state.dir,
    // Settings meant for this program would change the services.
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
    // Another process may have asked for the shutdown already, and supervisord may have ended since the question above.
    await unless([FAULTS.shutdownState], call(state, 'shutdown')).catch((error: unknown) => {
      if (!(error instanceof SupervisorUnreachable)) throw error;
    });
    while (pid !== null && processStartTicks(pid) !== null) await sleep(100);
  }
  await endLeftovers(state);
  rmSync(state.runDir, { recursive: true, force: true });
}

export function supervisorPid(state: LocalState): number | null {
  const path = join(state.runDir, 'supervisord.pid');
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : null;
}

/** Ends the processes that a killed supervisord left behind. */
export const endLeftovers = (state: LocalState): Promise<void> =>
  // SIGINT is PostgreSQL's "fast shutdown"; the other programs treat it like SIGTERM.
  endProcesses(() => ownProcesses(state), { first: 'SIGINT', graceMs: 5_000 });

/** Makes the program run as described: adds it, or restarts it when its description changed or supervisord gave up. */
export async function ensureProgram(state: LocalState, program: Program): Promise<void> {
  writeProgram(state, program);
  await applyPrograms(state, [program.name]);
  const now = (await programStates(state)).get(program.name);
  if (now && ['FATAL', 'EXITED', 'STOPPED'].includes(now.state)) await startPrograms(state, [program.name]);
}

/** Ends the program and removes its file. A missing program is no error. */
export async function removeProgram(state: LocalState, name: string): Promise<void> {
  rmSync(programPath(state, name), { force: true });
  if (await isSupervisorRunning(state)) await applyPrograms(state, [name]);
}

/** Restarts the program through supervisord: with its stop signal, not by a kill. */
export async function restartProgram(state: LocalState, name: string): Promise<void> {
  await unless([FAULTS.notRunning], call(state, 'stopProcess', name));
  await startPrograms(state, [name]);
}

/** Starts programs that do not run; waits until each ran for a second or failed. A failure shows in `programStates`. */
export async function startPrograms(state: LocalState, names: string[]): Promise<void> {
  const failures = [
    FAULTS.alreadyStarted,
    FAULTS.spawnError,
    FAULTS.abnormalTermination,
    FAULTS.noFile,
    FAULTS.notExecutable,
  ];
  await Promise.all(names.map((name) => unless(failures, call(state, 'startProcess', name))));
}

const groupNames = z.array(z.string());
const reloadSchema = z.tuple([z.tuple([groupNames, groupNames, groupNames])]);

/** Makes supervisord take over the new, changed and removed files of these programs. */
export async function applyPrograms(state: LocalState, programs: string[]): Promise<void> {
  if (programs.length === 0) return;
  const [[added, changed, removed]] = reloadSchema.parse(await call(state, 'reloadConfig'));
  await Promise.all(
    programs.map(async (name) => {
      // Another process may apply the same files at the same time.
      if (changed.includes(name) || removed.includes(name)) {
        await unless([FAULTS.badName], call(state, 'stopProcessGroup', name));
        await unless([FAULTS.badName], call(state, 'removeProcessGroup', name));
      }
      if (added.includes(name) || changed.includes(name))
        await unless([FAULTS.alreadyAdded], call(state, 'addProcessGroup', name));
    }),
  );
}

/** Returns all programs of supervisord by name; empty when it does not run. */
export async function programStates(state: LocalState): Promise<Map<string, ProgramState>> {
  let answer: unknown;
  try {
    answer = await call(state, 'getAllProcessInfo');
  } catch (error) {
    if (error instanceof SupervisorUnreachable) return new Map();
    throw error;
  }
  return new Map(
    z
      .array(processSchema)
      .parse(answer)
      .map(({ name, statename, pid, description }) => [
        name,
        { state: statename, pid: pid === 0 ? null : pid, detail: description },
      ]),
  );
}

/** Returns the last lines of a program's log, for error messages. */
export function logTail(state: LocalState, name: string, lines = 15): string {
  const path = join(state.logsDir, `${name}.log`);
  if (!existsSync(path)) return `(${path} does not exist)`;
  return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}

const call = (state: LocalState, method: string, ...params: string[]): Promise<unknown> =>
  callSupervisor(state.socketPath, method, params);

/** Waits for the call and ignores these faults. */
async function unless(expected: readonly number[], answer: Promise<unknown>): Promise<void> {
  try {
    await answer;
  } catch (error) {
    if (!(error instanceof SupervisorFault && expected.includes(error.code))) throw error;
  }
}

function writeWhenChanged(path: string, text: string): boolean {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return false;
  writeFileAtomically(path, text, 0o600);
  return true;
}
