import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { openJobFolder } from '../../activities/job-folder.ts';
import type { JobContext, JobRequest } from '../../activities/run-job.ts';
import { runJob, stopStageJobs } from '../../activities/run-job.ts';
import { ERROR_TYPES } from '../../contracts/errors.ts';
import type { JobProgress } from '../../contracts/jobs.ts';
import { jobName } from '../../contracts/names.ts';
import type { JobHeartbeat } from '../../contracts/progress.ts';
import type { JobStatus } from '../../infra/platform.ts';
import { MemoryJobs } from './memory-jobs.ts';

const RUN = 'pipeline-m-0123abcd';
const name = (n: number): string => jobName(RUN, 'train', n);
const result = { epochs: 3 };
const request: JobRequest<typeof result> = {
  stage: 'train',
  spec: { seed: 7 },
  resultSchema: z.object({ epochs: z.int() }),
};

let home: string;
let folder: string;
let jobs: MemoryJobs;
let activity: AbortController;
let heartbeats: JobHeartbeat[];
/** Called while runJob sleeps, with the seconds since it began. */
let meanwhile: (seconds: number) => Promise<void> | void;
let mustStopJob: boolean;

beforeEach(async () => {
  // Time passes only while runJob sleeps.
  vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'] });
  home = await mkdtemp(join(tmpdir(), 'shelfcast-run-job-'));
  folder = (await openJobFolder(pathToFileURL(home).href, RUN, 'train', request.spec)).path;
  jobs = new MemoryJobs();
  activity = new AbortController();
  heartbeats = [];
  meanwhile = () => undefined;
  mustStopJob = false;
});
afterEach(async () => {
  vi.useRealTimers();
  await rm(home, { recursive: true, force: true });
});

function run(changed: Partial<JobRequest<typeof result>> = {}): Promise<typeof result> {
  const begin = Date.now();
  const context: JobContext = {
    runKey: RUN,
    signal: activity.signal,
    heartbeat: (details) => heartbeats.push(details),
    async sleep(ms) {
      vi.setSystemTime(Date.now() + ms);
      const seconds = (Date.now() - begin) / 1_000;
      if (seconds > 60) throw new Error('runJob still waits after a minute');
      await meanwhile(seconds);
      activity.signal.throwIfAborted();
    },
    mustStopJob: () => mustStopJob,
  };
  return runJob(
    {
      platforms: { features: new MemoryJobs(), train: jobs, programs: new MemoryJobs() },
      artifactsUrl: pathToFileURL(home).href,
    },
    { ...request, ...changed },
    context,
  );
}

const write = (file: string, value: unknown) => writeFile(join(folder, file), JSON.stringify(value));
const finish = () => write('result.json', result);
const startedNames = () => jobs.started.map((job) => job.name);
const settled = async (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => error);

describe('starting', () => {
  beforeEach(() => {
    meanwhile = finish;
  });

  test('the first job of a stage runs its module on the folder with the spec', async () => {
    await rm(folder, { recursive: true });
    meanwhile = async () => {
      expect(JSON.parse(await readFile(join(folder, 'spec.json'), 'utf8'))).toEqual(request.spec);
      await finish();
    };
    expect(await run()).toEqual(result);
    expect(jobs.started).toEqual([
      { name: name(1), module: 'shelfcast.train', args: ['--dir', pathToFileURL(folder).href] },
    ]);
  });

  test('a distributed training has its number of processes', async () => {
    await run({ trainingProcesses: 2 });
    expect(jobs.started).toMatchObject([{ trainingProcesses: 2 }]);
  });

  test.each<JobStatus>(['pending', 'running'])('a %s job is adopted', async (status) => {
    jobs.set(name(1), 'failed');
    jobs.set(name(2), status);
    expect(await run()).toEqual(result);
    expect(jobs.started).toEqual([]);
    expect(heartbeats.at(-1)?.job).toBe(name(2));
  });

  test.each<JobStatus>(['failed', 'stopped', 'succeeded'])(
    'a job that %s without an outcome is followed by the next number',
    async (status) => {
      jobs.set(name(1), status);
      expect(await run()).toEqual(result);
      expect(startedNames()).toEqual([name(2)]);
    },
  );

  test('a second job is adopted when the cluster forgot the first', async () => {
    jobs.set(name(2), 'running');
    expect(await run()).toEqual(result);
    expect(jobs.started).toEqual([]);
  });

  test('after three jobs none is started', async () => {
    for (const n of [1, 2, 3]) jobs.set(name(n), 'failed', `the end of ${n}`);
    await expect(run()).rejects.toMatchObject({
      type: ERROR_TYPES.jobFailed,
      nonRetryable: true,
      message:
        `the train job ${name(3)} (number 3 of at most 3) ended as failed; ` +
        `its log is ${join(folder, 'log-3.txt')}. Its last lines:\nthe end of 3`,
    });
    expect(jobs.started).toEqual([]);
  });
});

describe('an outcome in the folder', () => {
  beforeEach(() => {
    jobs.onObserve = () => Promise.reject(new Error('the cluster is away'));
  });

  test('is the result without any job, also when the cluster is unavailable', async () => {
    await finish();
    expect(await run()).toEqual(result);
    expect(jobs.started).toEqual([]);
  });

  test('is the error that the job wrote, with its type', async () => {
    await write('error.json', { type: ERROR_TYPES.badData, message: '3 of 10 rows are bad' });
    await expect(run()).rejects.toMatchObject({ type: ERROR_TYPES.badData, nonRetryable: true });
    expect(jobs.started).toEqual([]);
  });
});

describe('watching', () => {
  test('reports lines as they come; the newest is in the heartbeat', async () => {
    const seen: JobProgress[][] = [];
    const epoch = { epoch: 2, trainLoss: 0.5, validationLoss: 0.6, seconds: 3 };
    let ticks = 0;
    meanwhile = async () => {
      ticks += 1;
      if (ticks === 1) await appendLines({ message: 'reading' }, { message: 'epoch 1' });
      if (ticks === 2) await appendLines({ message: 'epoch 2', epoch });
      if (ticks === 4) await finish();
    };
    await run({ onProgress: (lines) => seen.push(lines) });
    expect(seen).toEqual([[{ message: 'reading' }, { message: 'epoch 1' }], [{ message: 'epoch 2', epoch }]]);
    expect(heartbeats.map(({ progress }) => progress)).toEqual([
      null,
      null,
      'epoch 1',
      'epoch 2',
      'epoch 2',
      'epoch 2',
    ]);
  });

  const appendLines = (...lines: JobProgress[]) =>
    appendFile(join(folder, 'progress.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));

  test('a job that the cluster lost is started again under its name', async () => {
    jobs.set(name(1), 'failed');
    meanwhile = async (seconds) => {
      if (startedNames().length === 1) jobs.forget();
      else if (seconds > 5) await finish();
    };
    expect(await run()).toEqual(result);
    expect(startedNames()).toEqual([name(2), name(2)]);
  });

  test.each([1, 2])('another job follows failed job %i', async (n) => {
    for (let before = 1; before < n; before++) jobs.set(name(before), 'failed');
    meanwhile = () => {
      jobs.set(name(n), 'failed', 'Traceback\nMemoryError\n');
    };
    await expect(run()).rejects.toMatchObject({
      type: ERROR_TYPES.jobFailed,
      nonRetryable: false,
      message:
        `the train job ${name(n)} (number ${n} of at most 3) ended as failed; ` +
        `its log is ${join(folder, `log-${n}.txt`)}. Its last lines:\nTraceback\nMemoryError`,
    });
  });

  test('a third failed job ends the stage', async () => {
    for (const n of [1, 2]) jobs.set(name(n), 'failed');
    meanwhile = () => {
      jobs.set(name(3), 'failed');
    };
    await expect(run()).rejects.toMatchObject({ type: ERROR_TYPES.jobFailed, nonRetryable: true });
    expect(startedNames()).toEqual([name(3)]);
  });

  test('a job that succeeds without a result has failed; the error quotes its last 20 lines', async () => {
    const printed = Array.from({ length: 30 }, (_, i) => `line ${i + 1}`);
    meanwhile = () => {
      jobs.set(name(1), 'succeeded', printed.join('\n'));
    };
    const error = (await settled(run())) as Error;
    expect(error).toMatchObject({ type: ERROR_TYPES.jobFailed, nonRetryable: false });
    const [head, ...lines] = error.message.split('\n');
    expect(head).toBe(
      `the train job ${name(1)} (number 1 of at most 3) ended without writing result.json; ` +
        `its log is ${join(folder, 'log-1.txt')}. Its last lines:`,
    );
    expect(lines).toEqual(printed.slice(10));
  });

  test('an outcome that comes between the two readings counts', async () => {
    meanwhile = () => {
      jobs.set(name(1), 'succeeded');
    };
    jobs.onObserve = () => (jobs.started.length === 0 ? Promise.resolve() : finish());
    expect(await run()).toEqual(result);
  });

  test("the job's own error counts more than its status", async () => {
    meanwhile = () => {
      jobs.set(name(1), 'failed');
    };
    jobs.onObserve = () =>
      jobs.started.length === 0
        ? Promise.resolve()
        : write('error.json', { type: 'BadData', message: 'bad rows' });
    await expect(run()).rejects.toMatchObject({ type: ERROR_TYPES.badData, message: 'bad rows' });
  });

  test('an unavailable cluster fails this attempt and leaves the job alone', async () => {
    mustStopJob = true;
    jobs.onObserve = () =>
      jobs.started.length === 0 ? Promise.resolve() : Promise.reject(new Error('the cluster is away'));
    await expect(run()).rejects.toThrow('the cluster is away');
    expect(jobs.stopped).toEqual([]);
  });
});

describe('ending early', () => {
  const cancelled = new Error('cancelled');
  beforeEach(() => {
    meanwhile = () => {
      activity.abort(cancelled);
    };
  });

  test('a cancelled activity stops its job and sends heartbeats meanwhile', async () => {
    mustStopJob = true;
    jobs.onStop = () => {
      vi.advanceTimersByTime(21_000);
    };
    await expect(run()).rejects.toBe(cancelled);
    expect(jobs.stopped).toEqual([name(1)]);
    expect(heartbeats.filter(({ progress }) => progress === 'stopping')).toHaveLength(4);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('an activity whose worker shuts down leaves its job to the next attempt', async () => {
    await expect(run()).rejects.toBe(cancelled);
    expect(jobs.stopped).toEqual([]);

    activity = new AbortController();
    meanwhile = finish;
    expect(await run()).toEqual(result);
    expect(startedNames()).toEqual([name(1)]);
  });

  test('a job that may have started before the cancellation is stopped too', async () => {
    mustStopJob = true;
    activity.abort(cancelled);
    await expect(run()).rejects.toBe(cancelled);
    expect(jobs.stopped).toEqual([name(1)]);
  });

  test('a job that fails by itself is not stopped', async () => {
    mustStopJob = true;
    meanwhile = () => {
      jobs.set(name(1), 'failed');
    };
    await expect(run()).rejects.toMatchObject({ type: ERROR_TYPES.jobFailed });
    expect(jobs.stopped).toEqual([]);
  });
});

describe('after the end of a job', () => {
  const all = [name(1), name(2), name(3)];

  test('its log is in the folder and the platform may forget it', async () => {
    meanwhile = async () => {
      jobs.set(name(1), 'running', 'epoch 3');
      await finish();
    };
    await run();
    expect(await readFile(join(folder, 'log-1.txt'), 'utf8')).toBe('epoch 3');
    expect(jobs.released.sort()).toEqual(all);
  });

  test('the next attempt releases it when the first attempt died before that', async () => {
    await finish();
    await run();
    expect(jobs.released.sort()).toEqual(all);
  });

  test('the log of a failed job remains, also when the cluster forgets the job or makes it anew', async () => {
    meanwhile = () => {
      jobs.set(name(1), 'failed', 'out of memory');
    };
    await expect(run()).rejects.toMatchObject({ type: ERROR_TYPES.jobFailed });
    expect(await readFile(join(folder, 'log-1.txt'), 'utf8')).toBe('out of memory');

    meanwhile = finish;
    for (const again of [
      () => {
        jobs.forget();
      },
      () => {
        jobs.set(name(1), 'running');
      },
    ]) {
      again();
      await rm(join(folder, 'result.json'), { force: true });
      await run();
      expect(startedNames().at(-1)).toBe(name(2));
      await rm(join(folder, 'log-2.txt'));
    }
  });

  test('no fourth job follows three failed jobs, also when the cluster forgot them', async () => {
    await writeFile(join(folder, 'log-3.txt'), 'the end of 3');
    await expect(run()).rejects.toMatchObject({
      nonRetryable: true,
      message:
        `the train job ${name(3)} (number 3 of at most 3) ended as failed; ` +
        `its log is ${join(folder, 'log-3.txt')}. Its last lines:\nthe end of 3`,
    });
    expect(jobs.started).toEqual([]);
  });
});

test('the heartbeat has the reason of a pending job', async () => {
  meanwhile = async (seconds) => {
    jobs.set(name(1), 'pending', '', 'no node has a free GPU');
    if (seconds > 3) await finish();
  };
  await run();
  expect(heartbeats.at(-1)?.progress).toBe('no node has a free GPU');
});

describe('stopping the job of a stage', () => {
  const stop = () => stopStageJobs({ platform: jobs, stage: 'train', runKey: RUN, signal: activity.signal });

  test.each<JobStatus>(['pending', 'running'])('ends the %s job and no other', async (status) => {
    jobs.set(name(1), 'failed');
    jobs.set(name(2), status);
    jobs.set(jobName(RUN, 'evaluate', 1), 'running');
    jobs.set(jobName('another-run', 'train', 1), 'running');
    await stop();
    expect(jobs.stopped).toEqual([name(2)]);
    expect(jobs.released.sort()).toEqual([name(1), name(2), name(3)]);
  });

  test('ends a third job when the cluster forgot the first two', async () => {
    jobs.set(name(3), 'running');
    await stop();
    expect(jobs.stopped).toEqual([name(3)]);
  });

  test('does nothing when no job runs', async () => {
    jobs.set(name(1), 'succeeded');
    await stop();
    expect(jobs.stopped).toEqual([]);
  });
});
