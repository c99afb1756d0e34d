/** Registered versions and the result of a rollout. Free of zod, because workflows import it. */
import type { Verdict } from './stages.ts';

export interface RegisteredVersion {
  modelName: string;
  version: number;
  /** Id of the MLflow run that the version came from. */
  runId: string;
  /** Folder with model.onnx and model.json. */
  modelUri: string;
  modelHash: string;
  dataset: string;
}

/** Returns the champion if it was trained on the data set, else null: only models of one data set are comparable. */
export const championOnDataset = (
  champion: RegisteredVersion | null,
  dataset: string,
): RegisteredVersion | null => (champion?.dataset === dataset ? champion : null);

/** Versions that take part in a rollout. */
export interface RolloutVersions {
  candidate: RegisteredVersion;
  /** Version that serves all traffic when the rollout starts, of any data set; null for the first model. */
  champion: RegisteredVersion | null;
}

/** Numbers of one canary step, from which alone its decision is made. */
export interface StepAnalysis {
  weightPercent: number;
  /** Unpinned requests that a version answered, by model version. */
  requests: Record<string, number>;
  /** Unpinned requests that a version did not answer with forecasts, by model version. */
  failedRequests: Record<string, number>;
  /** Requests that the router could not hand to a version, by that version. */
  unreachable: Record<string, number>;
  /** Number of forecasts that were compared with actuals, by model version; it is the same for all versions. */
  compared: Record<string, number>;
  /** WAPE of the compared forecasts, by model version; empty where their sales add up to zero. */
  wape: Record<string, number>;
  /** Mean absolute error of the compared forecasts, USD, by model version; absent in analyses of version 0.1.0. */
  meanAbsoluteError?: Record<string, number>;
  /** Largest relative difference between the candidate's deployed and evaluated p10, p50 or p90. */
  maxParityDifference: number;
}

/** Decision on a step's analysis. An inconclusive step is repeated; it never promotes. */
export interface StepDecision {
  outcome: 'successful' | 'failed' | 'inconclusive';
  /** One sentence with the numbers that decided. */
  reason: string;
}

export interface RolloutResult {
  verdict: Verdict;
  /** `first-model`: there was no champion on this data set, so the candidate took the short path. */
  path: 'first-model' | 'canary';
  reason: string;
  version: number;
  previousVersion: number | null;
  steps: StepAnalysis[];
}
