/** Starts the local services under supervisord, each once, and waits for them. */
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

const LIVING: readonly ProgramState['state'][] = ['STARTING', 'RUNNING', 'BACKOFF'];

export class ProgramRunner {
  readonly #state: LocalState;
  readonly #onProgress: (line: string) => void;
  readonly #known: ReadonlyMap<string, ProgramState>;
  readonly #openedAt = Date.now();
  /** Whether supervisord was started just now, and so none of the services was up. */
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
   * Starts supervisord unless it runs, with `first` (what depends on nothing) at once. Ends services that are not in
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
      // Descriptions of an earlier time may hold other ports; each is written anew when its turn comes.
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

  /** Makes the program run as described and waits until its probe passes. */
  async start(program: ServiceProgram, probe: Probe, timeoutMs: number): Promise<void> {
    const changed = writeProgram(this.#state, program);
    if (changed || !this.#known.has(program.name)) await applyPrograms(this.#state, [program.name]);
    else if (!this.isAlive(program.name)) await startPrograms(this.#state, [program.name]);
    await waitUntilReady(this.#state, program.name, probe, timeoutMs);
    if (this.#isFresh || changed || !this.isAlive(program.name)) {
      this.#onProgress(`${program.name} is ready (${((Date.now() - this.#openedAt) / 1000).toFixed(1)} s)`);
    }
  }
}
