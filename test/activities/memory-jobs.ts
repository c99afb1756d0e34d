/** Job platform in memory; the test sets the status of its jobs. */
import type { JobObservation, JobPlatform, JobSpec, JobStatus } from '../../infra/platform.ts';

export class MemoryJobs implements JobPlatform {
  readonly #jobs = new Map<string, { status: JobStatus; log: string; message: string }>();
  /** Jobs in the order in which they were started; twice when the cluster forgot one. */
  readonly started: JobSpec[] = [];
  readonly stopped: string[] = [];
  readonly released: string[] = [];
  /** Called after a job of this name was looked at, before the answer is given. */
  onObserve: (name: string) => Promise<void> = () => Promise.resolve();
  onStop: () => void = () => undefined;

  set(name: string, status: JobStatus, log = '', message = ''): void {
    this.#jobs.set(name, { status, log, message });
  }

  /** Forgets all jobs, like a Ray head that was killed and restarted. */
  forget(): void {
    this.#jobs.clear();
  }

  ensure(job: JobSpec, signal: AbortSignal): Promise<void> {
    if (!this.#jobs.has(job.name)) {
      this.set(job.name, 'running');
      this.started.push(job);
    }
    // The request may have arrived although its sender did not wait for the answer.
    return signal.aborted ? Promise.reject(signal.reason as Error) : Promise.resolve();
  }

  async observe(name: string): Promise<JobObservation> {
    const { status, message } = this.#jobs.get(name) ?? { status: 'unknown', message: '' };
    await this.onObserve(name);
    return { status, message };
  }

  stop(name: string): Promise<void> {
    this.stopped.push(name);
    this.onStop();
    this.set(name, 'stopped');
    return Promise.resolve();
  }

  logs(name: string): Promise<string> {
    return Promise.resolve(this.#jobs.get(name)?.log ?? '');
  }

  release(name: string): Promise<void> {
    this.released.push(name);
    this.#jobs.delete(name);
    return Promise.resolve();
  }
}
