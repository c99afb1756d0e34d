/** Ports between the pipeline and its platform; `local/` and `kubernetes/` hold the two adapters. */

export interface JobSpec {
  /** Derived from the run, the stage and n (contracts/names.ts); at most one job of a name ever exists. */
  name: string;
  /** Python module and arguments, e.g. ['shelfcast.features', '--dir', 'file:///...']. */
  module: string;
  args: string[];
  /** Processes of a distributed training; each runs `module`. A plain program has none. */
  trainingProcesses?: number;
}

export type JobStatus = 'pending' | 'running' | 'succeeded' | 'failed' | 'stopped' | 'unknown';

export interface JobObservation {
  /** `unknown`: no job of this name exists (it never started, or its cluster lost it). */
  status: JobStatus;
  /** One sentence on the end of the job, or on why it has been pending for long; otherwise empty. */
  message: string;
}

/** Runs jobs. All methods may be repeated; none starts a second job of the same name. */
export interface JobPlatform {
  /** Starts the job unless one of this name exists. */
  ensure(job: JobSpec, signal: AbortSignal): Promise<void>;
  observe(name: string, signal: AbortSignal): Promise<JobObservation>;
  /** Asks the job to end and waits until it has ended. A job that does not exist is no error. */
  stop(name: string): Promise<void>;
  /** Returns the last lines of the job's output. */
  logs(name: string): Promise<string>;
  /**
   * Releases the resources that an ended job still holds. Call it after the end has been recorded, because the platform may then
   * forget the job. Does not wait until all resources are released. A job that does not exist is no error.
   */
  release(name: string): Promise<void>;
}

export interface ServedVersion {
  modelName: string;
  version: number;
  /** Folder with model.onnx and model.json. */
  modelUri: string;
  /** SHA-256 of model.onnx, as registered; a predictor that finds another file does not start. */
  modelHash: string;
}

export interface VersionState {
  version: number;
  ready: boolean;
  /** Share of traffic in percent. */
  weightPercent: number;
  /** Reason for not being ready, a sentence without a full stop; absent when the platform has none. */
  message?: string;
}

/** Serves model versions behind one endpoint. All methods may be repeated. */
export interface Serving {
  /** Creates the version, with weight 0 when it is new. Does not wait until it is ready. */
  ensureVersion(version: ServedVersion, signal: AbortSignal): Promise<void>;
  observe(modelName: string): Promise<VersionState[]>;
  /**
   * Sets the traffic; the weights are in force when the promise resolves.
   * @param weights percent by version: served versions only, and a sum of 100. An empty map removes all traffic.
   */
  setTraffic(modelName: string, weights: ReadonlyMap<number, number>): Promise<void>;
  /** Removes a version. @throws Error when the version still has traffic */
  removeVersion(modelName: string, version: number): Promise<void>;
  /** Base URL of the endpoint. A request with the header `x-shelfcast-version: N` goes to version N. */
  readonly url: string;
}
