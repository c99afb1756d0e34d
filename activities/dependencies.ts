/** What activities need from outside; workers/dependencies.ts builds the real ones. */
import type { Pool } from 'pg';
import type { Mlflow } from '../infra/mlflow.ts';
import type { Stage } from '../contracts/stages.ts';
import type { JobPlatform, Serving } from '../infra/platform.ts';

export interface Dependencies {
  /** Runs the jobs that use a cluster. */
  jobs: JobPlatform;
  /** Runs the others: a cluster's start would cost them more than their work. */
  programs: JobPlatform;
  serving: Serving;
  mlflow: Mlflow;
  database: Pool;
  /** `file://` URL of the folder below which runs keep their jobs' folders. */
  artifactsUrl: string;
}

/** Who runs the jobs of a stage. */
export function jobsOf(deps: Pick<Dependencies, 'jobs' | 'programs'>, stage: Stage): JobPlatform {
  return stage === 'features' || stage === 'train' ? deps.jobs : deps.programs;
}
