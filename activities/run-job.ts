/** Runs a stage's job to its end. A retried activity adopts the job of the earlier attempt. */
import { ApplicationFailure, Context } from '@temporalio/activity';
import type { z } from 'zod';
import { ERROR_TYPES } from '../contracts/errors.ts';
import type { JobProgress } from '../contracts/jobs.ts';
import { jobName } from '../contracts/names.ts';
import type { JobHeartbeat } from '../contracts/progress.ts';
import type { Stage } from '../contracts/stages.ts';
import type { JobObservation, JobPlatform, JobSpec } from '../infra/platform.ts';
import type { Dependencies } from './dependencies.ts';
import { jobsOf } from './dependencies.ts';
import type { JobFolder } from './job-folder.ts';
import {
  createProgressReader,
  keepLog,
  lastKeptLog,
  openJobFolder,
  readKeptLog,
  readOutcome,
} from './job-folder.ts';
import { currentRunKey } from './run-key.ts';

/** A stage starts at most this many jobs; the failure of the last one ends the run. */
const MAX_JOBS = 3;
/** Interval of reading the job's folder; many jobs end in seconds, and the whole run waits for the next reading. */
const POLL_MS = 200;
const OBSERVE_EVERY_MS = 1_000;
const STOP_HEARTBEAT_MS = 5_000;

export interface JobRequest<T> {
  stage: Stage;
  spec: object;
  resultSchema: z.ZodType<T>;
  /** Processes of a distributed training; absent for a plain program. */
  trainingProcesses?: number;
  /** Callback for the lines reported since the last call; after a retry it gets all lines again. */
  onProgress?: (lines: JobProgress[]) => void;
}

/** Part of the activity's context that `runJob` uses. */
export interface JobContext {
  runKey: string;
  signal: AbortSignal;
  heartbeat: (details: JobHeartbeat) => void;
  sleep: (ms: number) => Promise<void>;
  /** Asked after `signal` fired: true when the job must end too, false when only this worker shuts down. */
  mustStopJob: () => boolean;
}

/** Context of the current activity. */
export function activityJobContext(): JobContext {
  const context = Context.current();
  return {
    runKey: currentRunKey(),
    signal: context.cancellationSignal,
    heartbeat: (details) => {
      context.heartbeat(details);
    },
    sleep: (ms) => context.sleep(ms),
    // notFound means that the workflow was terminated, so nothing else will stop the job.
    mustStopJob: () =>
      context.cancellationDetails?.cancelRequested === true || context.cancellationDetails?.notFound === true,
  };
}

/**
 * Returns the result of the stage's job.
 * @throws ApplicationFailure with the type that the job wrote to error.json (non-retryable), or `JobFailed` for any other
 *   failure (retryable until the stage has used up its jobs).
 */
export async function runJob<T>(
  deps: Pick<Dependencies, 'jobs' | 'artifactsUrl'>,
  request: JobRequest<T>,
  context: JobContext,
): Promise<T> {
  const folder = await openJobFolder(deps.artifactsUrl, context.runKey, request.stage, request.spec);
  const jobs = jobsOf(deps.jobs, request.stage);
  const finished = await readOutcome(folder, request.resultSchema);
  if (finished !== null) {
    // The attempt that saw the result first may have died before it released the jobs.
    await releaseJobs(jobs, context.runKey, request.stage);
    return finished;
  }

  const n = await nextJobNumber(jobs, context, request.stage, folder);
  const job: JobSpec = {
    name: jobName(context.runKey, request.stage, n),
    module: `shelfcast.${request.stage}`,
    args: ['--dir', folder.url],
    ...(request.trainingProcesses === undefined ? {} : { trainingProcesses: request.trainingProcesses }),
  };
  let outcome: T;
  try {
    context.heartbeat({ job: job.name, progress: null, fraction: null });
    await jobs.ensure(job, context.signal);
    outcome = await watch(jobs, request, context, folder, job, n);
  } catch (error) {
    if (context.signal.aborted && context.mustStopJob()) await stopJob(jobs, context, job.name);
    throw error;
  }
  keepLog(folder, n, await jobs.logs(job.name));
  await releaseJobs(jobs, context.runKey, request.stage);
  return outcome;
}

/**
 * Stops and releases all jobs of a stage. The workflow calls it when the stage's own activity can no longer do so.
 */
export async function stopStageJob(
  jobs: JobPlatform,
  context: Pick<JobContext, 'runKey' | 'signal'>,
  stage: Stage,
): Promise<void> {
  for (const { name, status } of await stageJobs(jobs, context, stage)) {
    if (status === 'pending' || status === 'running') await jobs.stop(name);
  }
  await releaseJobs(jobs, context.runKey, stage);
}

const JOB_NUMBERS = Array.from({ length: MAX_JOBS }, (_, i) => i + 1);

async function releaseJobs(jobs: JobPlatform, key: string, stage: Stage): Promise<void> {
  await Promise.all(JOB_NUMBERS.map((n) => jobs.release(jobName(key, stage, n))));
}

/** Returns the stage's jobs that the platform knows; after a restart it may know the second and not the first. */
async function stageJobs(jobs: JobPlatform, context: Pick<JobContext, 'runKey' | 'signal'>, stage: Stage) {
  const observed = await Promise.all(
    JOB_NUMBERS.map(async (n) => {
      const name = jobName(context.runKey, stage, n);
      return { n, name, status: (await jobs.observe(name, context.signal)).status };
    }),
  );
  return observed.filter(({ status }) => status !== 'unknown');
}

/** Returns the number of the job to adopt or start; after a job that ended without an outcome it is the next number. */
async function nextJobNumber(
  jobs: JobPlatform,
  context: JobContext,
  stage: Stage,
  folder: JobFolder,
): Promise<number> {
  const known = (await stageJobs(jobs, context, stage)).at(-1);
  // A kept log means that the job has ended, even when an operator has deleted it or is recreating its pods.
  const ended = await lastKeptLog(folder);
  if (known !== undefined && known.n > ended) {
    if (known.status === 'pending' || known.status === 'running') return known.n;
    if (known.n < MAX_JOBS) return known.n + 1;
    throw await jobFailure(jobs, stage, folder, known.name, known.n, known.status);
  }
  if (ended < MAX_JOBS) return ended + 1;
  throw await jobFailure(jobs, stage, folder, jobName(context.runKey, stage, ended), ended, 'failed');
}

async function watch<T>(
  jobs: JobPlatform,
  request: JobRequest<T>,
  context: JobContext,
  folder: JobFolder,
  job: JobSpec,
  n: number,
): Promise<T> {
  const readProgress = createProgressReader(folder);
  let progress: string | null = null;
  let fraction: number | null = null;
  let observedAt = Date.now();
  for (;;) {
    const lines = await readProgress();
    if (lines.length > 0) request.onProgress?.(lines);
    progress = lines.at(-1)?.message ?? progress;
    fraction = lines.at(-1)?.fraction ?? fraction;
    context.heartbeat({ job: job.name, progress, fraction });

    const outcome = await readOutcome(folder, request.resultSchema);
    if (outcome !== null) return outcome;
    if (Date.now() - observedAt >= OBSERVE_EVERY_MS) {
      const { status, message } = await jobs.observe(job.name, context.signal);
      observedAt = Date.now();
      if (status === 'pending' && message !== '') progress = message;
      // The platform restarted and lost the job; the job's folder is still there.
      if (status === 'unknown') await jobs.ensure(job, context.signal);
      else if (status !== 'pending' && status !== 'running') {
        // The job may have written its outcome after the folder was read.
        const late = await readOutcome(folder, request.resultSchema);
        if (late !== null) return late;
        throw await jobFailure(jobs, request.stage, folder, job.name, n, status);
      }
    }
    await context.sleep(POLL_MS);
  }
}

async function jobFailure(
  jobs: JobPlatform,
  stage: Stage,
  folder: JobFolder,
  name: string,
  n: number,
  status: JobObservation['status'],
): Promise<ApplicationFailure> {
  const ended = status === 'succeeded' ? 'ended without writing result.json' : `ended as ${status}`;
  const log = (await jobs.logs(name)) || (await readKeptLog(folder, n));
  keepLog(folder, n, log);
  const lines = log.trimEnd().split('\n').slice(-20).join('\n');
  return ApplicationFailure.create({
    type: ERROR_TYPES.jobFailed,
    message: `the ${stage} job ${name} (${n} of at most ${MAX_JOBS}) ${ended}. It last printed:\n${lines}`,
    nonRetryable: n >= MAX_JOBS,
  });
}

async function stopJob(jobs: JobPlatform, context: JobContext, name: string): Promise<void> {
  // Ending a training takes a while; without heartbeats the server would time this attempt out.
  const timer = setInterval(() => {
    context.heartbeat({ job: name, progress: 'stopping', fraction: null });
  }, STOP_HEARTBEAT_MS);
  try {
    await jobs.stop(name);
  } finally {
    clearInterval(timer);
  }
}
