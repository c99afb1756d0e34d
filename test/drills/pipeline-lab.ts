/** Small real pipelines on the local platform, and looks into everything that they leave. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { TASK_QUEUE } from '../../contracts/names.ts';
import type { PipelineResult } from '../../contracts/pipeline.ts';
import { ownProcesses } from '../../infra/local/processes.ts';
import type { LocalState } from '../../infra/local/state.ts';
import type { TestPlatform } from '../platform.ts';
import { startTestPlatform } from '../platform.ts';
import type { Pipelines, Run } from './pipelines.ts';
import { connectPipelines, expectRecordedOnce } from './pipelines.ts';

export interface Lab extends Pipelines {
  platform: TestPlatform;
  rayJobs: () => Promise<{ submission_id: string; status: string }[]>;
  trainingRanks: () => { pid: number; rank: string }[];
}

export async function openLab(name: string): Promise<Lab> {
  const platform = await startTestPlatform(name);
  const { environment, endpoints, state } = platform;
  const pipelines = await connectPipelines({
    temporal: { address: endpoints.temporal, namespace: 'default', taskQueue: TASK_QUEUE },
    databaseUrl: environment['DATABASE_URL'] ?? '',
    mlflowUrl: endpoints.mlflow,
    artifactsFolder: state.artifactsDir,
  });
  return {
    ...pipelines,
    platform,
    async rayJobs() {
      const response = await fetch(`${endpoints.ray}/api/jobs/`, {
        headers: { authorization: `Bearer ${platform.secrets.rayToken}` },
      });
      return (await response.json()) as { submission_id: string; status: string }[];
    },
    trainingRanks: () => trainingRanks(state),
    async close() {
      await pipelines.close();
      await platform.stop();
    },
  };
}

/** The platform's processes that are ranks of a training, which have it for a name. */
function trainingRanks(state: LocalState): { pid: number; rank: string }[] {
  return ownProcesses(state).flatMap((pid) => {
    const rank = /^rank (\d+)$/.exec(nameOf(pid))?.[1];
    return rank === undefined ? [] : [{ pid, rank }];
  });
}

/** Empty when the process has ended. */
function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd();
  } catch {
    return '';
  }
}

/** Whatever was killed on the way: each thing of the run is there once. */
export async function expectNothingTwice(lab: Lab, run: Run, result: PipelineResult): Promise<void> {
  await expectRecordedOnce(lab, run, result);
  const key = run.key();
  const jobs = (await lab.rayJobs()).filter((job) => job.submission_id.startsWith(key));
  const living = jobs.filter(({ status }) => status === 'PENDING' || status === 'RUNNING');
  expect(living).toEqual([]);
  const succeeded = jobs.filter(({ status }) => status === 'SUCCEEDED').map((job) => job.submission_id);
  const stages = succeeded.map((id) => id.slice(key.length + 1).replace(/-\d+$/, ''));
  expect(new Set(stages).size).toBe(stages.length);
  expect(lab.trainingRanks()).toEqual([]);
  const programs = readdirSync(join(lab.platform.state.dir, 'jobs')).filter((name) => name.startsWith(key));
  expect(programs.sort()).toEqual([`${key}-evaluate-1`, `${key}-ingest-1`]);
}
