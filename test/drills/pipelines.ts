/** Small real pipelines on whatever platform, and looks into what they record. */
import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect } from 'vitest';
import type { JobProgress } from '../../contracts/jobs.ts';
import type { PipelineInput, PipelineResult } from '../../contracts/pipeline.ts';
import type { Stage } from '../../contracts/stages.ts';
import type { UpdateInput, UpdateResult } from '../../contracts/update.ts';
import type { AnyHandle, RunHandle, Shelfcast } from '../../client/client.ts';
import { connect } from '../../client/client.ts';
import type { TemporalConfig } from '../../config/environment.ts';

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

export interface Pipelines {
  shelfcast: Shelfcast;
  start: (name: string, input?: PipelineInput) => Promise<Run>;
  startUpdate: (name: string, input: UpdateInput) => Promise<Run<UpdateResult>>;
  query: <T extends pg.QueryResultRow>(text: string, values?: unknown[]) => Promise<T[]>;
  /** MLflow runs of a pipeline run. */
  mlflowRuns: (key: string) => Promise<{ id: string; status: string }[]>;
  /** Model versions that came from an MLflow run. */
  versions: (mlflowRunId: string) => Promise<number[]>;
  /** Version that holds the alias. */
  alias: (name: string) => Promise<number | null>;
  /** Ends the runs that a failed test left. */
  endRuns: () => Promise<void>;
  close: () => Promise<void>;
}

export interface Run<Result = PipelineResult> {
  handle: RunHandle<Result>;
  /** Waits until the stage's job has reported a line that `matches`. */
  whenJobSays: (stage: Stage, matches: (line: JobProgress) => boolean) => Promise<JobProgress>;
  whenStage: (stage: Stage, status?: 'running' | 'done') => Promise<void>;
  /** Waits until the stage tells of itself what `matches`. */
  whenSummary: (stage: Stage, matches: RegExp) => Promise<void>;
  result: () => Promise<Result>;
  /** Key of the run in folders, jobs and MLflow. */
  key: () => string;
}

/** Addresses of a platform's services, as the test reaches them. */
interface Addresses {
  temporal: TemporalConfig;
  databaseUrl: string;
  mlflowUrl: string;
  artifactsFolder: string;
}

export async function connectPipelines(addresses: Addresses): Promise<Pipelines> {
  const shelfcast = await connect(addresses.temporal);
  const runsFolder = join(addresses.artifactsFolder, 'runs');
  const started: AnyHandle[] = [];
  return {
    shelfcast,
    query: async <T extends pg.QueryResultRow>(text: string, values: unknown[] = []) => {
      const client = new pg.Client({ connectionString: addresses.databaseUrl });
      await client.connect();
      try {
        return (await client.query<T>(text, values)).rows;
      } finally {
        await client.end();
      }
    },
    async start(workflowId, input = {}) {
      const handle = await shelfcast.startPipeline({ ...SMALL, ...input }, { workflowId });
      started.push(handle);
      return runOf(runsFolder, handle);
    },
    async startUpdate(workflowId, input) {
      const handle = await shelfcast.startUpdate(input, { workflowId });
      started.push(handle);
      return runOf(runsFolder, handle);
    },
    ...mlflowLooks(addresses.mlflowUrl),
    async endRuns() {
      for (const handle of started.splice(0)) {
        if ((await handle.describe()).status === 'RUNNING') await handle.cancel();
        await handle.result().catch(() => undefined);
      }
    },
    close: () => shelfcast.close(),
  };
}

function mlflowLooks(url: string): Pick<Pipelines, 'mlflowRuns' | 'versions' | 'alias'> {
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

function runOf<T>(runsFolder: string, handle: RunHandle<T>): Run<T> {
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
    whenSummary: (stage, matches) =>
      eventually(`${stage} says ${String(matches)}`, handle, async () => {
        const { stages } = await handle.progress();
        return matches.test(stages[stage].summary ?? '') || null;
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
  handle: RunHandle<unknown>,
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

/** Whatever was killed on the way: what the run recorded is there once. */
export async function expectRecordedOnce(
  pipelines: Pipelines,
  run: Run,
  result: PipelineResult,
): Promise<void> {
  const key = run.key();
  const { modelName, dataset, ingest, registered, monitor } = result;

  const batches = await pipelines.query('select batch_id from raw.batch where request_id = $1', [key]);
  expect(batches).toHaveLength(1);
  const [rows] = await pipelines.query<{ n: number; series: number }>(
    `select count(*)::int as n, count(distinct (store, dept))::int as series from
       (select distinct on (store, dept, week) * from raw.sales where dataset = $1 and batch_id <= $2
        order by store, dept, week, batch_id desc) newest`,
    [dataset, ingest.snapshot.batchId],
  );
  expect(rows).toEqual({ n: ingest.snapshot.rowCount, series: ingest.snapshot.seriesCount });

  expect(await pipelines.mlflowRuns(key)).toEqual([{ id: registered.runId, status: 'FINISHED' }]);
  expect(await pipelines.versions(registered.runId)).toEqual([registered.version]);

  const [forecasts] = await pipelines.query<{ n: number }>(
    'select count(*)::int as n from ops.forecast where model_name = $1 and model_version = $2 and origin = $3',
    [modelName, monitor?.modelVersion, ingest.snapshot.lastWeek],
  );
  expect(forecasts?.n).toBe(monitor?.forecastsRecorded);
  const audit = await pipelines.query<{ action: string; weights: Record<string, number> }>(
    'select action, weights from ops.rollout_audit where run_key = $1 order by recorded_at',
    [key],
  );
  expect(audit.at(-1)).toEqual({ action: result.verdict, weights: expect.anything() as unknown });
  expect(audit.filter(({ action }) => action === 'promoted' || action === 'rolled-back')).toHaveLength(1);
}
