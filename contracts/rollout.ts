/** Registered versions and the result of a rollout. */
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

export interface RolloutParties {
  candidate: RegisteredVersion;
  /** The version that serves all traffic when the rollout starts, whatever its data set; null for the first model. */
  champion: RegisteredVersion | null;
}

/** Numbers that one canary step collected; its decision rests on these alone. */
export interface StepAnalysis {
  weightPercent: number;
  /** Requests sent in this step, by model version. */
  requests: Record<string, number>;
  /** Requests that a version answered with an error. */
  failedRequests: Record<string, number>;
  /** Requests that the router could not hand to a version and gave to another one. */
  unreachable: Record<string, number>;
  /** Number of distinct known weeks that were compared with actuals, by model version; all versions have the same weeks. */
  compared: Record<string, number>;
  /** Weighted absolute percentage error on the compared forecasts, by model version. */
  wape: Record<string, number>;
  /** Largest relative difference between the deployed candidate's p50 and the evaluated one. */
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
