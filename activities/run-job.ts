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
import { platformOf } from './dependencies.ts';
import type { JobFolder } from './job-folder.ts';
import {
  createProgressReader,
  keepLog,
  lastKeptLog,
  logPath,
  openJobFolder,
  readKeptLog,
  readOutcome,
} from './job-folder.ts';
import { currentRunKey } from './run-key.ts';

/** A stage starts at most this many jobs; the failure of the last one ends the run. */
const MAX_JOBS = 3;
/** Interval between two readings of the job's folder; short, because many jobs end in seconds and the run waits for it. */
const POLL_MS = 200;
const OBSERVE_EVERY_MS = 1_000;
const STOP_HEARTBEAT_MS = 5_000;
/** Lines of a failed job's log that its error quotes. */
const QUOTED_LINES = 20;

export interface JobRequest<T> {
  stage: Stage;
  spec: object;
  resultSchema: z.ZodType<T>;
  /** Processes of a distributed training; undefined for a plain program. */
  trainingProcesses?: number;
  /** Callback for the lines since the last call; after a retry it gets all lines again. */
  onProgress?: (lines: JobProgress[]) => void;
}

/** Part of the activity's context that `runJob` uses. */
export interface JobContext {
  runKey: string;
  signal: AbortSignal;
  heartbeat: (details: JobHeartbeat) => void;
  sleep: (ms: number) => Promise<void>;
  /** Whether the job must end as well, not only this worker. Called only after `signal` fired. */
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

/** Stage of a run, on the platform that runs its jobs. */
interface RunStage {
  platform: JobPlatform;
  stage: Stage;
  runKey: string;
  signal: AbortSignal;
}

/** The n-th job of a stage. */
interface StageJob {
  platform: JobPlatform;
  stage: Stage;
  folder: JobFolder;
  name: string;
  n: number;
}

/**
 * Returns the result of the stage's job.
 * @throws ApplicationFailure with the type that the job wrote to error.json (non-retryable), or `JobFailed` for any other
 *   failure (retryable until the stage has used up its jobs).
 */
export async function runJob<T>(
  deps: Pick<Dependencies, 'platforms' | 'artifactsUrl'>,
  request: JobRequest<T>,
  context: JobContext,
): Promise<T> {
  const { runKey, signal } = context;
  const { stage } = request;
  const folder = await openJobFolder(deps.artifactsUrl, runKey, stage, request.spec);
  const platform = platformOf(deps.platforms, stage);
  const runStage: RunStage = { platform, stage, runKey, signal };
  const finished = await readOutcome(folder, request.resultSchema);
  if (finished !== null) {
    // The attempt that read the result first may have died before it released the jobs.
    await releaseJobs(runStage);
    return finished;
  }

  const n = await nextJobNumber(runStage, folder);
  const job: StageJob = { platform, stage, folder, name: jobName(runKey, stage, n), n };
  const spec: JobSpec = {
    name: job.name,
    module: `shelfcast.${stage}`,
    args: ['--dir', folder.url],
    ...(request.trainingProcesses === undefined ? {} : { trainingProcesses: request.trainingProcesses }),
  };
  let outcome: T;
  try {
    context.heartbeat({ job: job.name, progress: null, fraction: null });
    await platform.ensure(spec, signal);
    outcome = await watch(job, spec, request, context);
  } catch (error) {
    if (signal.aborted && context.mustStopJob()) await stopWithHeartbeats(job, context);
    throw error;
  }
  keepLog(folder, n, await platform.logs(job.name));
  await releaseJobs(runStage);
  return outcome;
}

/** Stops and releases all jobs of a stage. The workflow calls it when the stage's own activity can no longer do so. */
export async function stopStageJobs(runStage: RunStage): Promise<void> {
  for (const { name, status } of await knownJobs(runStage)) {
    if (status === 'pending' || status === 'running') await runStage.platform.stop(name);
  }
  await releaseJobs(runStage);
}

const JOB_NUMBERS = Array.from({ length: MAX_JOBS }, (_, i) => i + 1);

async function releaseJobs({ platform, runKey, stage }: RunStage): Promise<void> {
  await Promise.all(JOB_NUMBERS.map((n) => platform.release(jobName(runKey, stage, n))));
}

/** Returns the stage's jobs that the platform knows; after a restart it may know the second and not the first. */
async function knownJobs({ platform, runKey, stage, signal }: RunStage) {
  const observed = await Promise.all(
    JOB_NUMBERS.map(async (n) => {
      const name = jobName(runKey, stage, n);
      return { n, name, status: (await platform.observe(name, signal)).status };
    }),
  );
  return observed.filter(({ status }) => status !== 'unknown');
}

/** Returns the number of the job to adopt or start; after a job that ended without an outcome it is the next number. */
async function nextJobNumber(runStage: RunStage, folder: JobFolder): Promise<number> {
  const { platform, runKey, stage } = runStage;
  const known = (await knownJobs(runStage)).at(-1);
  // A kept log means that the job has ended, even when an operator has deleted it or is recreating its pods.
  const ended = await lastKeptLog(folder);
  if (known !== undefined && known.n > ended) {
    const { n, name, status } = known;
    if (status === 'pending' || status === 'running') return n;
    if (n < MAX_JOBS) return n + 1;
    throw await jobFailure({ platform, stage, folder, name, n }, status);
  }
  if (ended < MAX_JOBS) return ended + 1;
  const name = jobName(runKey, stage, ended);
  throw await jobFailure({ platform, stage, folder, name, n: ended }, 'failed');
}

async function watch<T>(
  job: StageJob,
  spec: JobSpec,
  request: JobRequest<T>,
  context: JobContext,
): Promise<T> {
  const { platform, folder, name } = job;
  const readProgress = createProgressReader(folder);
  let progress: string | null = null;
  let fraction: number | null = null;
  let observedAt = Date.now();
  for (;;) {
    const lines = await readProgress();
    if (lines.length > 0) request.onProgress?.(lines);
    progress = lines.at(-1)?.message ?? progress;
    fraction = lines.at(-1)?.fraction ?? fraction;
    context.heartbeat({ job: name, progress, fraction });

    const outcome = await readOutcome(folder, request.resultSchema);
    if (outcome !== null) return outcome;
    if (Date.now() - observedAt >= OBSERVE_EVERY_MS) {
      const { status, message } = await platform.observe(name, context.signal);
      observedAt = Date.now();
      if (status === 'pending' && message !== '') progress = message;
      // The platform restarted and lost the job; the job's folder is still there.
      if (status === 'unknown') await platform.ensure(spec, context.signal);
      else if (status !== 'pending' && status !== 'running') {
        // The job may have written its outcome after the folder was read.
        const late = await readOutcome(folder, request.resultSchema);
        if (late !== null) return late;
        throw await jobFailure(job, status);
      }
    }
    await context.sleep(POLL_MS);
  }
}

async function jobFailure(
  { platform, stage, folder, name, n }: StageJob,
  status: JobObservation['status'],
): Promise<ApplicationFailure> {
  const ended = status === 'succeeded' ? 'ended without writing result.json' : `ended as ${status}`;
  const log = (await platform.logs(name)) || (await readKeptLog(folder, n));
  keepLog(folder, n, log);
  const lines = log.trimEnd().split('\n').slice(-QUOTED_LINES).join('\n');
  return ApplicationFailure.create({
    type: ERROR_TYPES.jobFailed,
    message:
      `the ${stage} job ${name} (number ${n} of at most ${MAX_JOBS}) ${ended}; its log is ${logPath(folder, n)}. ` +
      `Its last lines:\n${lines || '(none)'}`,
    nonRetryable: n >= MAX_JOBS,
  });
}

async function stopWithHeartbeats({ platform, name }: StageJob, context: JobContext): Promise<void> {
  // A training ends slowly. Without heartbeats the server would time this attempt out.
  const timer = setInterval(() => {
    context.heartbeat({ job: name, progress: 'stopping', fraction: null });
  }, STOP_HEARTBEAT_MS);
  try {
    await platform.stop(name);
  } finally {
    clearInterval(timer);
  }
}
