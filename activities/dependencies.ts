/** Dependencies of the activities; workers/dependencies.ts builds the real ones. */
import type { Pool } from 'pg';
import type { Mlflow } from '../infra/mlflow/mlflow.ts';
import type { Stage } from '../contracts/stages.ts';
import type { JobPlatform, Serving } from '../infra/platform.ts';

export interface Dependencies {
  platforms: StagePlatforms;
  serving: Serving;
  mlflow: Mlflow;
  database: Pool;
  /** `file://` URL of the folder that holds the runs' job folders. */
  artifactsUrl: string;
}

/** Job platform of each stage. */
export interface StagePlatforms {
  /** Ray. */
  features: JobPlatform;
  /** Training in several processes. */
  train: JobPlatform;
  /** Plain programs, for all other stages, because a cluster starts more slowly than they run. */
  programs: JobPlatform;
}

export function platformOf(platforms: StagePlatforms, stage: Stage): JobPlatform {
  return stage === 'features' || stage === 'train' ? platforms[stage] : platforms.programs;
}
