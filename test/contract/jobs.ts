/** Contract of every JobPlatform. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobObservation, JobPlatform, JobSpec } from '../../infra/platform.ts';

/** Modules that the platform's jobs can import. */
interface JobModules {
  /** Appends a line to the file of its first argument, prints 150 numbered lines, succeeds. */
  writes: string;
  /** Prints `about to fail` and ends with exit code 3. */
  fails: string;
  /**
   * Ignores SIGTERM, starts a process that is no child of its own any more, writes both process ids into the file of
   * its first argument, sleeps for ten minutes.
   */
  sleeps: string;
}

export interface JobPlatformUnderTest {
  /** Another client of the same platform, as a restarted worker has. */
  connect: () => JobPlatform;
  modules: JobModules;
  /** A new path that jobs can write to and `readFile` reads. */
  newFile: () => string;
  /** Lines of a file that a job wrote; empty when there is none. */
  readLines: (path: string) => string[];
  /** Whether a process of that id, which a job wrote, lives. */
  isAlive: (pid: number) => boolean;
  close: () => Promise<void>;
}

const JOB_TIMEOUT_MS = 90_000;
const signal = new AbortController().signal;
const newName = () => `contract-${randomUUID().slice(0, 8)}`;

/** The contract as a test suite; `start` makes the platform ready. */
export function jobPlatformContract(
  platformName: string,
  start: () => Promise<JobPlatformUnderTest>,
  { timeoutMs = JOB_TIMEOUT_MS }: { timeoutMs?: number } = {},
): void {
  describe(`${platformName} as JobPlatform`, { timeout: timeoutMs }, () => {
    let tested: JobPlatformUnderTest;
    let jobs: JobPlatform;
    beforeAll(async () => {
      tested = await start();
      jobs = tested.connect();
    }, 180_000);
    afterAll(() => tested.close(), 60_000);

    it('starts one job for repeated and concurrent calls', async () => {
      const file = tested.newFile();
      const job: JobSpec = { name: newName(), module: tested.modules.writes, args: [file] };
      await Promise.all([jobs.ensure(job, signal), tested.connect().ensure(job, signal)]);
      await jobs.ensure(job, signal);
      expect((await ended(jobs, job.name)).status).toBe('succeeded');
      await tested.connect().ensure(job, signal);
      expect((await tested.connect().observe(job.name, signal)).status).toBe('succeeded');
      expect(tested.readLines(file)).toHaveLength(1);
    });

    it('returns the last lines of a log', async () => {
      const job: JobSpec = { name: newName(), module: tested.modules.writes, args: [tested.newFile()] };
      await jobs.ensure(job, signal);
      await ended(jobs, job.name);
      const lines = (await jobs.logs(job.name)).split('\n');
      expect(lines.length).toBeLessThanOrEqual(100);
      expect(lines).toContain('line 150');
      expect(lines).not.toContain('line 1');
    });

    it('reports that a job failed, and how', async () => {
      const job: JobSpec = { name: newName(), module: tested.modules.fails, args: [] };
      await jobs.ensure(job, signal);
      const end = await ended(jobs, job.name);
      expect(end.status).toBe('failed');
      expect(end.message).toContain('3');
      expect(await jobs.logs(job.name)).toContain('about to fail');
    });

    it('leaves no process of a stopped job', async () => {
      const file = tested.newFile();
      const job: JobSpec = { name: newName(), module: tested.modules.sleeps, args: [file] };
      await jobs.ensure(job, signal);
      const pids = await pidsIn(tested, file, 2);
      expect((await jobs.observe(job.name, signal)).message).toBe('');
      await tested.connect().stop(job.name);
      expect((await jobs.observe(job.name, signal)).status).toBe('stopped');
      expect(pids.filter(tested.isAlive)).toEqual([]);
      await jobs.stop(job.name);
    });

    it('runs a training in several processes and leaves none of them when it is stopped', async () => {
      const file = tested.newFile();
      const name = newName();
      await jobs.ensure({ name, module: tested.modules.sleeps, args: [file], trainingProcesses: 2 }, signal);
      const pids = await pidsIn(tested, file, 4);
      await jobs.stop(name);
      expect(pids.filter(tested.isAlive)).toEqual([]);
    });

    it('releases an ended job, also twice, and never runs it again', async () => {
      const file = tested.newFile();
      const job: JobSpec = { name: newName(), module: tested.modules.writes, args: [file] };
      await jobs.ensure(job, signal);
      await ended(jobs, job.name);
      await jobs.release(job.name);
      await tested.connect().release(job.name);
      expect((await jobs.observe(job.name, signal)).status).not.toBe('running');
      expect(tested.readLines(file)).toHaveLength(1);
    });

    it('reports a job that never existed as unknown', async () => {
      const name = newName();
      expect((await jobs.observe(name, signal)).status).toBe('unknown');
      await expect(jobs.stop(name)).resolves.toBeUndefined();
      expect(await jobs.logs(name)).toBe('');
      await expect(jobs.release(name)).resolves.toBeUndefined();
    });
  });
}

async function ended(jobs: JobPlatform, name: string): Promise<JobObservation> {
  for (;;) {
    const observation = await jobs.observe(name, signal);
    if (!['pending', 'running'].includes(observation.status)) return observation;
    await sleep(200);
  }
}

async function pidsIn(tested: JobPlatformUnderTest, file: string, count: number): Promise<number[]> {
  while (tested.readLines(file).length < count) await sleep(100);
  return tested.readLines(file).map(Number);
}
