/** Small real pipelines on a real platform, and looks into everything that they leave. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect } from 'vitest';
import { TASK_QUEUE } from '../../contracts/names.ts';
import type { JobProgress } from '../../contracts/jobs.ts';
import type { PipelineInput, PipelineResult } from '../../contracts/pipeline.ts';
import type { Stage } from '../../contracts/stages.ts';
import { ownProcesses } from '../../infra/local/processes.ts';
import type { LocalState } from '../../infra/local/state.ts';
import type { PipelineHandle, Shelfcast } from '../../workers/client.ts';
import { connect } from '../../workers/client.ts';
import type { TestPlatform } from '../platform.ts';
import { startTestPlatform } from '../platform.ts';

export const MODEL = 'sales-forecast';
export const STORES = 5;
export const DEPARTMENTS = 6;
export const WEEKS = 120;

const POLL_MS = 50;
const TIMEOUT_MS = 240_000;

/** 3,600 rows, enough for the model to beat the baselines; many short epochs, so that a kill hits one. */
export const SMALL = {
  source: { kind: 'generated', stores: STORES, departments: DEPARTMENTS, weeks: WEEKS, seed: 11 },
  horizonWeeks: 3,
  testWeeks: 6,
  validationWeeks: 6,
  train: { maxEpochs: 10, batchSize: 256 },
} as const satisfies PipelineInput;

export interface Lab {
  platform: TestPlatform;
  shelfcast: Shelfcast;
  start: (name: string, input?: PipelineInput) => Promise<LabRun>;
  query: <T extends pg.QueryResultRow>(text: string, values?: unknown[]) => Promise<T[]>;
  /** MLflow runs of a pipeline run. */
  mlflowRuns: (key: string) => Promise<{ id: string; status: string }[]>;
  /** Model versions that came from an MLflow run. */
  versions: (mlflowRunId: string) => Promise<number[]>;
  /** Version that holds the alias. */
  alias: (name: string) => Promise<number | null>;
  rayJobs: () => Promise<{ submission_id: string; status: string }[]>;
  trainingRanks: () => { pid: number; rank: string }[];
  /** Ends the runs that a failed test left. */
  endRuns: () => Promise<void>;
  close: () => Promise<void>;
}

export interface LabRun {
  handle: PipelineHandle;
  /** Waits until the stage's job has reported a line that `matches`. */
  whenJobSays: (stage: Stage, matches: (line: JobProgress) => boolean) => Promise<JobProgress>;
  whenStage: (stage: Stage, status?: 'running' | 'done') => Promise<void>;
  result: () => Promise<PipelineResult>;
  /** Key of the run in folders, jobs and MLflow. */
  key: () => string;
}

export async function openLab(name: string): Promise<Lab> {
  const platform = await startTestPlatform(name);
  const { environment, endpoints, state } = platform;
  const shelfcast = await connect({
    address: endpoints.temporal,
    namespace: 'default',
    taskQueue: TASK_QUEUE,
  });
  const runsFolder = join(state.artifactsDir, 'runs');
  const started: PipelineHandle[] = [];
  const query: Lab['query'] = async <T extends pg.QueryResultRow>(text: string, values: unknown[] = []) => {
    const client = new pg.Client({ connectionString: environment['DATABASE_URL'] });
    await client.connect();
    try {
      return (await client.query<T>(text, values)).rows;
    } finally {
      await client.end();
    }
  };
  return {
    platform,
    shelfcast,
    query,
    async start(workflowId, input = {}) {
      const handle = await shelfcast.startPipeline({ ...SMALL, ...input }, { workflowId });
      started.push(handle);
      return labRun(runsFolder, handle);
    },
    ...mlflowLooks(endpoints.mlflow),
    async rayJobs() {
      const response = await fetch(`${endpoints.ray}/api/jobs/`, {
        headers: { authorization: `Bearer ${platform.secrets.rayToken}` },
      });
      return (await response.json()) as { submission_id: string; status: string }[];
    },
    trainingRanks: () => trainingRanks(state),
    async endRuns() {
      for (const handle of started.splice(0)) {
        if ((await handle.describe()).status === 'RUNNING') await handle.cancel();
        await handle.result().catch(() => undefined);
      }
    },
    async close() {
      await shelfcast.close();
      await platform.stop();
    },
  };
}

function mlflowLooks(url: string): Pick<Lab, 'mlflowRuns' | 'versions' | 'alias'> {
  const get = async (path: string, parameters: Record<string, string>): Promise<unknown> => {
    const query = new URLSearchParams(parameters);
    return (await fetch(`${url}/api/2.0/mlflow/${path}?${query.toString()}`)).json();
  };
  return {
    async mlflowRuns(key) {
      const { experiment } = (await get('experiments/get-by-name', { experiment_name: MODEL })) as {
        experiment: { experiment_id: string };
      };
      const response = await fetch(`${url}/api/2.0/mlflow/runs/search`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          experiment_ids: [experiment.experiment_id],
          filter: `tags."shelfcast.run_key" = '${key}'`,
        }),
      });
      const { runs = [] } = (await response.json()) as {
        runs?: { info: { run_id: string; status: string } }[];
      };
      return runs.map(({ info }) => ({ id: info.run_id, status: info.status }));
    },
    async versions(mlflowRunId) {
      const { model_versions: versions = [] } = (await get('model-versions/search', {
        filter: `run_id='${mlflowRunId}'`,
      })) as { model_versions?: { version: string }[] };
      return versions.map(({ version }) => Number(version));
    },
    async alias(name) {
      const { model_version: version } = (await get('registered-models/alias', {
        name: MODEL,
        alias: name,
      })) as {
        model_version?: { version: string };
      };
      return version === undefined ? null : Number(version.version);
    },
  };
}

function labRun(runsFolder: string, handle: PipelineHandle): LabRun {
  const key = (): string => {
    const prefix = `${handle.workflowId}-`;
    const found = existsSync(runsFolder) ? readdirSync(runsFolder).filter((f) => f.startsWith(prefix)) : [];
    const [only] = found;
    if (only === undefined || found.length > 1) throw new Error(`${found.length} folders of ${prefix}*`);
    return only;
  };
  return {
    handle,
    key,
    result: () => handle.result(),
    whenStage: (stage, status = 'running') =>
      eventually(`${stage} is ${status}`, handle, async () => {
        const { stages } = await handle.progress();
        return stages[stage].status === status || null;
      }).then(() => undefined),
    whenJobSays: (stage, matches) =>
      eventually(`the job of ${stage} says so`, handle, async () => {
        const path = join(runsFolder, key(), stage, 'progress.jsonl');
        const lines = (await readFile(path, 'utf8')).split('\n').slice(0, -1);
        return lines.map((line) => JSON.parse(line) as JobProgress).find(matches) ?? null;
      }),
  };
}

/** Fails at once when the run does, so that its own sentence is what the test shows. */
async function eventually<T>(
  what: string,
  handle: PipelineHandle,
  look: () => Promise<T | null>,
): Promise<T> {
  let failure: unknown = null;
  handle.result().catch((error: unknown) => {
    failure = error;
  });
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const found = await look().catch(() => null);
    if (found !== null) return found;
    if (failure !== null) throw failure as Error;
    if (Date.now() > deadline) throw new Error(`it did not happen within ${TIMEOUT_MS} ms: ${what}`);
    await sleep(POLL_MS);
  }
}

/** The platform's processes that are ranks of a training (their launcher, torchrun, has no RANK). */
function trainingRanks(state: LocalState): { pid: number; rank: string }[] {
  return ownProcesses(state).flatMap((pid) => {
    const rank = /(?:^|\0)RANK=(\d+)/.exec(procFile(pid, 'environ'))?.[1];
    return rank === undefined || !procFile(pid, 'cmdline').includes('shelfcast.train') ? [] : [{ pid, rank }];
  });
}

/** Empty when the process has ended. */
function procFile(pid: number, name: 'environ' | 'cmdline'): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

/** Whatever was killed on the way: each thing of the run is there once. */
export async function expectNothingTwice(lab: Lab, run: LabRun, result: PipelineResult): Promise<void> {
  const key = run.key();
  const { modelName, dataset, ingest, registered, monitor } = result;

  const batches = await lab.query('select batch_id from raw.batch where request_id = $1', [key]);
  expect(batches).toHaveLength(1);
  const [rows] = await lab.query<{ n: number; series: number }>(
    `select count(*)::int as n, count(distinct (store, dept))::int as series from
       (select distinct on (store, dept, week) * from raw.sales where dataset = $1 and batch_id <= $2
        order by store, dept, week, batch_id desc) newest`,
    [dataset, ingest.snapshot.batchId],
  );
  expect(rows).toEqual({ n: ingest.snapshot.rowCount, series: ingest.snapshot.seriesCount });

  const jobs = (await lab.rayJobs()).filter((job) => job.submission_id.startsWith(key));
  const living = jobs.filter(({ status }) => status === 'PENDING' || status === 'RUNNING');
  expect(living).toEqual([]);
  const succeeded = jobs.filter(({ status }) => status === 'SUCCEEDED').map((job) => job.submission_id);
  const stages = succeeded.map((id) => id.slice(key.length + 1).replace(/-\d+$/, ''));
  expect(new Set(stages).size).toBe(stages.length);
  expect(lab.trainingRanks()).toEqual([]);
  const programs = readdirSync(join(lab.platform.state.dir, 'jobs')).filter((name) => name.startsWith(key));
  expect(programs.sort()).toEqual([`${key}-evaluate-1`, `${key}-ingest-1`]);

  expect(await lab.mlflowRuns(key)).toEqual([{ id: registered.runId, status: 'FINISHED' }]);
  expect(await lab.versions(registered.runId)).toEqual([registered.version]);

  const [forecasts] = await lab.query<{ n: number }>(
    'select count(*)::int as n from ops.forecast where model_name = $1 and model_version = $2 and origin = $3',
    [modelName, monitor?.modelVersion, ingest.snapshot.lastWeek],
  );
  expect(forecasts?.n).toBe(monitor?.forecastsRecorded);
  const audit = await lab.query<{ action: string; weights: Record<string, number> }>(
    'select action, weights from ops.rollout_audit where run_key = $1 order by recorded_at',
    [key],
  );
  expect(audit.at(-1)).toEqual({ action: result.verdict, weights: expect.anything() as unknown });
  expect(audit.filter(({ action }) => action === 'promoted' || action === 'rolled-back')).toHaveLength(1);
}
