/**
 * The JobPlatform port with plain processes on this machine, for jobs that need no cluster.
 *
 * A job is a folder, created once: `log`, then `exit` with the exit code, or `stopped`. Its processes run in their own session
 * and outlive the worker that started them.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JobObservation, JobPlatform, JobSpec } from '../platform.ts';
import { endProcesses, processesWithVariable } from './processes.ts';
import { JOB_VARIABLE, LOG_LINES, pythonCommand } from '../job-command.ts';

export interface ProgramJobsOptions {
  /** Folder for the jobs' folders. */
  dir: string;
  python: string;
  environment: Readonly<Record<string, string | undefined>>;
}

/** Shell that runs the program and then records its exit code. */
const SCRIPT = `
"$@" > "$JOB_FOLDER/log" 2>&1
echo $? > "$JOB_FOLDER/exit.new"
mv "$JOB_FOLDER/exit.new" "$JOB_FOLDER/exit"
`;
/** Time in which a folder without a process counts as pending: a worker may die before it starts the process. */
const START_MS = 10_000;

export class ProgramJobs implements JobPlatform {
  readonly #options: ProgramJobsOptions;

  constructor(options: ProgramJobsOptions) {
    this.#options = options;
    mkdirSync(options.dir, { recursive: true });
  }

  ensure(job: JobSpec): Promise<void> {
    const folder = this.#folder(job.name);
    // Exactly one of several attempts creates it.
    if (makeFolder(folder)) this.#start(job, folder);
    return Promise.resolve();
  }

  observe(name: string): Promise<JobObservation> {
    return Promise.resolve(this.#observe(name));
  }

  async stop(name: string): Promise<void> {
    const { status } = this.#observe(name);
    if (status !== 'pending' && status !== 'running') return;
    writeFileSync(join(this.#folder(name), 'stopped'), '');
    await endProcesses(() => this.#processes(name), { graceMs: 2_000 });
  }

  logs(name: string): Promise<string> {
    const text = readText(join(this.#folder(name), 'log')) ?? '';
    return Promise.resolve(text.trimEnd().split('\n').slice(-LOG_LINES).join('\n'));
  }

  /** Does nothing: the folder of an ended program stays as its record. */
  release(): Promise<void> {
    return Promise.resolve();
  }

  #start(job: JobSpec, folder: string): void {
    const { python, environment } = this.#options;
    const child = spawn('sh', ['-c', SCRIPT, 'sh', ...pythonCommand(python, job)], {
      detached: true,
      stdio: 'ignore',
      env: { ...environment, JOB_FOLDER: folder, [JOB_VARIABLE]: this.#marker(job.name) },
    });
    child.on('error', (error) => {
      writeFileSync(join(folder, 'log'), `cannot run sh: ${error.message}\n`);
      writeFileSync(join(folder, 'exit'), '127\n');
    });
    child.unref();
  }

  #observe(name: string): JobObservation {
    const folder = this.#folder(name);
    const made = statSync(folder, { throwIfNoEntry: false });
    if (made === undefined)
      return { status: 'unknown', message: `there is no job ${name} in ${this.#options.dir}` };
    const isAlive = this.#processes(name).length > 0;
    // Read after the list of processes: a program that ended in between has written its exit code.
    const exit = readText(join(folder, 'exit'))?.trim();
    if (exit !== undefined) {
      return { status: exit === '0' ? 'succeeded' : 'failed', message: `it ended with exit code ${exit}` };
    }
    if (isAlive) return { status: 'running', message: '' };
    if (readText(join(folder, 'stopped')) !== undefined) return { status: 'stopped', message: '' };
    if (readText(join(folder, 'log')) === undefined && Date.now() - made.birthtimeMs < START_MS) {
      return { status: 'pending', message: '' };
    }
    return { status: 'failed', message: 'its process was killed' };
  }

  #folder(name: string): string {
    return join(this.#options.dir, name);
  }

  #processes(name: string): number[] {
    return processesWithVariable(JOB_VARIABLE, this.#marker(name));
  }

  /** Value of JOB_VARIABLE, with the folder, because two platforms of one machine may have jobs of the same name. */
  #marker(name: string): string {
    return `${name}@${this.#options.dir}`;
  }
}

function makeFolder(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
