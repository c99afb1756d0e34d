/** The JobPlatform port over Ray's Jobs REST API. */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { HttpError, HttpService } from '../http.ts';
import type { HttpAnswer } from '../http.ts';
import type { JobObservation, JobPlatform, JobSpec, JobStatus } from '../platform.ts';
import { endProcesses, processesWithVariable } from './processes.ts';
import { JOB_VARIABLE, LOG_LINES, pythonCommand, shellQuote } from '../job-command.ts';

export interface RayJobsOptions {
  /** Base URL of Ray's dashboard. */
  address: string;
  /** Ray's authentication token, if Ray needs one. */
  token?: string | undefined;
  /** Interpreter with the jobs' modules, on Ray's machine. */
  python: string;
  /** Environment of every job, in addition to the Ray head's. */
  environment?: Readonly<Record<string, string>>;
  /** Time limit for a stopped job to end. */
  stopTimeoutMs?: number;
}

const REQUEST_TIMEOUT_MS = 30_000;
const STOP_POLL_MS = 250;
/** Characters at the end of an unexpected answer that an error shows. */
const ANSWER_END = 1_000;

const jobDetails = z.object({
  status: z.enum(['PENDING', 'RUNNING', 'STOPPED', 'SUCCEEDED', 'FAILED']),
  message: z.string().nullish(),
});
const jobLogs = z.object({ logs: z.string().nullish() });

export class RayJobs implements JobPlatform {
  readonly #options: RayJobsOptions;
  readonly #ray: HttpService;

  constructor(options: RayJobsOptions) {
    this.#options = options;
    this.#ray = new HttpService({ name: 'Ray', url: options.address, token: options.token });
  }

  async ensure(job: JobSpec, signal: AbortSignal): Promise<void> {
    if ((await this.#details(job.name, signal)) !== null) return;
    const body = { submission_id: job.name, entrypoint: this.#entrypoint(job) };
    const answer = await this.#send('POST', '', { signal, body });
    if (answer.ok) return;
    // Another attempt submitted it first: Ray refuses a second job of the same name with 500.
    if (answer.status === 500 && (await this.#details(job.name, signal)) !== null) return;
    throw this.#unexpected(`submitting job ${job.name}`, answer);
  }

  async observe(name: string, signal: AbortSignal): Promise<JobObservation> {
    const details = await this.#details(name, signal);
    if (details === null) return { status: 'unknown', message: `Ray at ${this.#ray.url} has no job ${name}` };
    const status = details.status.toLowerCase() as JobStatus;
    // Ray's message about a job that has not ended only repeats its status.
    const hasEnded = status !== 'pending' && status !== 'running';
    return { status, message: hasEnded ? (details.message ?? '') : '' };
  }

  async stop(name: string): Promise<void> {
    const answer = await this.#send('POST', `${encodeURIComponent(name)}/stop`);
    if (!answer.ok && answer.status !== 404) throw this.#unexpected(`stopping job ${name}`, answer);
    await this.#waitUntilEnded(name);
    const marker = this.#marker(name);
    // Processes of a training may outlive a job that Ray calls stopped.
    await endProcesses(() => processesWithVariable(JOB_VARIABLE, marker), { graceMs: 2_000 });
  }

  async logs(name: string): Promise<string> {
    const answer = await this.#send('GET', `${encodeURIComponent(name)}/logs`);
    if (answer.status === 404) return '';
    if (!answer.ok) throw this.#unexpected(`reading the log of job ${name}`, answer);
    const text = jobLogs.parse(JSON.parse(answer.text)).logs ?? '';
    return text.trimEnd().split('\n').slice(-LOG_LINES).join('\n');
  }

  /** Does nothing: Ray keeps only the job's status and log, until its head ends. */
  release(): Promise<void> {
    return Promise.resolve();
  }

  async #waitUntilEnded(name: string): Promise<void> {
    const timeoutMs = this.#options.stopTimeoutMs ?? 30_000;
    const begin = Date.now();
    for (;;) {
      const { status } = await this.observe(name, AbortSignal.timeout(REQUEST_TIMEOUT_MS));
      if (status !== 'pending' && status !== 'running') return;
      if (Date.now() - begin > timeoutMs) {
        throw new Error(
          `Ray at ${this.#ray.url} was asked to stop job ${name}; after ${timeoutMs} ms it is still ${status}`,
        );
      }
      await sleep(STOP_POLL_MS);
    }
  }

  #entrypoint(job: JobSpec): string {
    const command = pythonCommand(this.#options.python, job);
    const environment = { ...this.#options.environment, [JOB_VARIABLE]: this.#marker(job.name) };
    const assignments = Object.entries(environment).map(([key, value]) => `${key}=${shellQuote(value)}`);
    // Ray runs the text in a shell; with `exec` Ray's signals reach the program.
    return `${assignments.join(' ')} exec ${command.map(shellQuote).join(' ')}`;
  }

  /** Value of JOB_VARIABLE, with the address, because two heads of one machine may have jobs of the same name. */
  #marker(name: string): string {
    return `${name}@${this.#ray.url}`;
  }

  async #details(name: string, signal: AbortSignal): Promise<z.infer<typeof jobDetails> | null> {
    const answer = await this.#send('GET', encodeURIComponent(name), { signal });
    if (answer.status === 404) return null;
    if (!answer.ok) throw this.#unexpected(`asking for job ${name}`, answer);
    return jobDetails.parse(JSON.parse(answer.text));
  }

  #send(
    method: 'GET' | 'POST',
    path: string,
    { signal, body }: { signal?: AbortSignal; body?: object } = {},
  ): Promise<HttpAnswer> {
    return this.#ray.send(method, `/api/jobs/${path}`, { signal, body, timeoutMs: REQUEST_TIMEOUT_MS });
  }

  #unexpected(operation: string, { status, text }: HttpAnswer): HttpError {
    // Ray answers with a traceback; its end shows the cause.
    return new HttpError(
      `Ray at ${this.#ray.url}: ${operation} was answered ${status}: ${text.slice(-ANSWER_END)}`,
      status,
    );
  }
}
