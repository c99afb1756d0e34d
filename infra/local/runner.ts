/** Start of the local services under supervisord, each once, and the wait for them. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Probe } from './readiness.ts';
import { waitUntilReady } from './readiness.ts';
import type { LocalState } from './state.ts';
import type { Program } from './supervisor-config.ts';
import type { ProgramState } from './supervisor.ts';
import {
  applyPrograms,
  ensureSupervisor,
  isSupervisorRunning,
  programStates,
  removeProgram,
  startPrograms,
  writeProgram,
} from './supervisor.ts';

export const SERVICES = ['postgres', 'temporal', 'ray', 'mlflow', 'worker', 'router'] as const;
export type Service = (typeof SERVICES)[number];
export type ServiceProgram = Program & { name: Service };

/** Time until a service answers: the usual range on two cores, for messages, and the limit. */
interface StartTime {
  usually: string;
  limitMs: number;
}
const START_TIMES: Record<Service, StartTime> = {
  postgres: { usually: '1 to 5 s', limitMs: 60_000 },
  temporal: { usually: '2 to 10 s', limitMs: 60_000 },
  ray: { usually: '7 to 20 s', limitMs: 180_000 },
  // The first start creates its tables.
  mlflow: { usually: '10 to 30 s', limitMs: 180_000 },
  worker: { usually: '5 to 15 s', limitMs: 60_000 },
  router: { usually: '2 to 10 s', limitMs: 60_000 },
};
/** Interval of the lines about a service that is not ready yet. */
const NOTICE_MS = 10_000;

const LIVING: readonly ProgramState['state'][] = ['STARTING', 'RUNNING', 'BACKOFF'];

export class ProgramRunner {
  readonly #state: LocalState;
  readonly #onProgress: (line: string) => void;
  readonly #known: ReadonlyMap<string, ProgramState>;
  readonly #openedAt = Date.now();
  /** Whether this runner started supervisord, so that no service was running before. */
  readonly #isFresh: boolean;

  private constructor(
    state: LocalState,
    known: ReadonlyMap<string, ProgramState>,
    isFresh: boolean,
    onProgress: (line: string) => void,
  ) {
    this.#state = state;
    this.#isFresh = isFresh;
    this.#known = known;
    this.#onProgress = onProgress;
  }

  /**
   * Starts supervisord unless it runs, and with it `first`, the programs that depend on nothing. Ends services that are not in
   * `wanted` any more, because an address was given for them.
   */
  static async open(
    state: LocalState,
    wanted: ReadonlySet<Service>,
    first: readonly Program[],
    onProgress: (line: string) => void,
  ): Promise<ProgramRunner> {
    const isFresh = !(await isSupervisorRunning(state));
    if (isFresh) {
      // Files of an earlier start may hold other ports; each is written again before its program starts.
      for (const name of SERVICES) rmSync(join(state.programsDir, `${name}.conf`), { force: true });
      for (const program of first) writeProgram(state, program);
      await ensureSupervisor(state);
    }
    const known = await programStates(state);
    for (const name of SERVICES) if (known.has(name) && !wanted.has(name)) await removeProgram(state, name);
    return new ProgramRunner(state, known, isFresh, onProgress);
  }

  /** Whether the service was alive when the runner was opened. */
  isAlive(name: Service): boolean {
    const known = this.#known.get(name);
    return known !== undefined && LIVING.includes(known.state);
  }

  /** Whether the runner starts the service. */
  isStarting(name: Service): boolean {
    return this.#isFresh || !this.isAlive(name);
  }

  /**
   * Makes the program run as described and waits until its probe passes.
   * @param noticeMs Interval of the progress lines about a program that is not ready yet.
   */
  async start(program: ServiceProgram, probe: Probe, noticeMs = NOTICE_MS): Promise<void> {
    const { usually, limitMs } = START_TIMES[program.name];
    const log = join(this.#state.logsDir, `${program.name}.log`);
    const notice = setInterval(() => {
      this.#onProgress(`waiting for ${program.name}, which usually takes ${usually}; its log is ${log}`);
    }, noticeMs);
    try {
      await this.#start(program, probe, limitMs);
    } finally {
      clearInterval(notice);
    }
  }

  async #start(program: ServiceProgram, probe: Probe, limitMs: number): Promise<void> {
    const changed = writeProgram(this.#state, program);
    if (changed || !this.#known.has(program.name)) await applyPrograms(this.#state, [program.name]);
    else if (!this.isAlive(program.name)) await startPrograms(this.#state, [program.name]);
    await waitUntilReady(this.#state, program.name, probe, limitMs);
    if (changed || this.isStarting(program.name)) {
      this.#onProgress(`${program.name} is ready (${((Date.now() - this.#openedAt) / 1000).toFixed(1)} s)`);
    }
  }
}
