/** What activities need from outside; workers/dependencies.ts builds the real ones. */
import type { Pool } from 'pg';
import type { Mlflow } from '../infra/mlflow.ts';
import type { JobPlatform, Serving } from '../infra/platform.ts';

export interface Dependencies {
  jobs: JobPlatform;
  serving: Serving;
  mlflow: Mlflow;
  database: Pool;
  /** `file://` URL of the folder below which runs keep their jobs' folders. */
  artifactsUrl: string;
}
