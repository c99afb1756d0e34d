/** Port to the parts of MLflow's tracking server and model registry that the activities use. Every method may be repeated. */

export interface MlflowRun {
  runId: string;
  experimentId: string;
  artifactUri: string;
  /** Milliseconds since 1970. */
  startTime: number;
}

export interface MlflowMetric {
  key: string;
  value: number;
  /** Milliseconds since 1970. */
  timestamp: number;
  step: number;
}

export interface MlflowBatch {
  params?: Record<string, string>;
  metrics?: MlflowMetric[];
  tags?: Record<string, string>;
}

export interface MlflowVersion {
  version: number;
  runId: string;
  tags: Record<string, string>;
}

export interface NewMlflowVersion {
  name: string;
  runId: string;
  /** URI of the model's files. */
  source: string;
  tags: Record<string, string>;
}

export type MlflowRunStatus = 'RUNNING' | 'FINISHED' | 'FAILED' | 'KILLED';

/** Every method throws `MlflowError` for an unexpected answer, and an error with a cause when no answer comes. */
export interface Mlflow {
  /** Returns the id of the experiment with this name; creates it when there is none. */
  ensureExperiment(name: string): Promise<string>;

  /** Returns the run with this key in the experiment; creates it when there is none. */
  ensureRun(experiment: string, runKey: string, runName: string): Promise<MlflowRun>;

  /** Logs in batches below MLflow's limits. The same metric (key, step, timestamp, value) is stored once. */
  logBatch(runId: string, batch: MlflowBatch): Promise<void>;

  endRun(runId: string, status: MlflowRunStatus): Promise<void>;

  uploadFile(artifactUri: string, path: string, bytes: Uint8Array): Promise<void>;

  /** Uploads all files below `folder` to `prefix` (a path, or '' for the run's root) and returns their number. */
  uploadFolder(artifactUri: string, prefix: string, folder: string): Promise<number>;

  /** Returns the version that came from this run; creates it when there is none. */
  ensureVersion(model: NewMlflowVersion): Promise<MlflowVersion>;

  tagVersion(name: string, version: number, tags: Record<string, string>): Promise<void>;

  /** Returns the version that holds the alias, or null when there is none (or no such model). */
  versionByAlias(name: string, alias: string): Promise<MlflowVersion | null>;

  setAlias(name: string, alias: string, version: number): Promise<void>;

  /** Deletes the alias; an alias without a version is no error. */
  deleteAlias(name: string, alias: string): Promise<void>;
}
