/** Names and ids that more than one process must agree on. */
import type { Stage } from './stages.ts';

export const TASK_QUEUE = 'shelfcast';
/** Workflow types of the two kinds of runs. */
export const WORKFLOWS = { pipeline: 'forecastPipeline', update: 'updateForecasts' } as const;
export const DEFAULT_MODEL_NAME = 'sales-forecast';

/** Search attributes (all Keyword) of each run. */
export const SEARCH_ATTRIBUTES = {
  model: 'ShelfcastModel',
  snapshot: 'ShelfcastSnapshot',
  stage: 'ShelfcastStage',
  verdict: 'ShelfcastVerdict',
} as const;

/** Id of the pipeline run that the CLI and programs start. */
export const pipelineWorkflowId = (modelName: string): string => `pipeline:${modelName}`;

/** Id of the update of forecasts that the CLI and programs start. */
export const updateWorkflowId = (modelName: string): string => `update:${modelName}`;

/** Id of the workflow that a run keeps open, so that no second run holds the same model. */
export const modelLockWorkflowId = (modelName: string): string => `model-lock:${modelName}`;

export const scheduleId = (modelName: string): string => `schedule:${modelName}`;

/**
 * Key of one execution of a workflow, safe in file names, job names and URLs.
 * The same execution always gives the same key, so a retried activity finds the work of an earlier attempt. A run id begins
 * with the time and ends with random digits, so only its end distinguishes two runs of one minute.
 */
export const runKey = (workflowId: string, runId: string): string =>
  `${workflowId.replace(/[^a-zA-Z0-9]+/g, '-').slice(0, 40)}-${runId.slice(-8)}`.toLowerCase();

/** Name of the n-th job (1, 2, ...) that a stage of a run starts. The name of a failed job is never used again. */
export const jobName = (key: string, stage: Stage, n: number): string => `${key}-${stage}-${n}`;

/** Feast project (and so the prefix of its online tables) of a data set. */
export const feastProject = (dataset: string): string => `shelfcast_${dataset}`;

/** Key of the PostgreSQL advisory lock (by `hashtextextended`) that a features job holds on a project (build.py). */
export const featuresLock = (project: string): string => `features:${project}`;
