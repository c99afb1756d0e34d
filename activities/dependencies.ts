/** What activities need from outside; workers/dependencies.ts builds the real ones. */
import type { Pool } from 'pg';
import type { Mlflow } from '../infra/mlflow.ts';
import type { Stage } from '../contracts/stages.ts';
import type { JobPlatform, Serving } from '../infra/platform.ts';

export interface Dependencies {
  jobs: StageJobs;
  serving: Serving;
  mlflow: Mlflow;
  database: Pool;
  /** `file://` URL of the folder below which runs keep their jobs' folders. */
  artifactsUrl: string;
}

/** Who runs the jobs of which stage. */
export interface StageJobs {
  /** Computes with Ray. */
  features: JobPlatform;
  /** Trains in several processes. */
  train: JobPlatform;
  /** All others: a cluster's start would cost them more than their work. */
  programs: JobPlatform;
}

export function jobsOf(jobs: StageJobs, stage: Stage): JobPlatform {
  return stage === 'features' || stage === 'train' ? jobs[stage] : jobs.programs;
}
