import { ApplicationFailure } from '@temporalio/activity';
import { ERROR_TYPES } from '../contracts/errors.ts';
import type { EvaluateSpec } from '../contracts/job-specs.ts';
import type { EvaluateResult, FeaturesResult, IngestResult, TrainResult } from '../contracts/jobs.ts';
import { evaluateResultSchema } from '../contracts/jobs.ts';
import type { GateDecision, RegisteredVersion, ResolvedPipelineInput } from '../contracts/pipeline.ts';
import type { Dependencies } from './dependencies.ts';
import { decideGate } from './gate.ts';
import { activityJobContext, currentRunKey, runJob } from './run-job.ts';
import { openMlflowRun, recordEvaluation, registerModel, VERSION_TAGS } from './tracking.ts';

interface EvaluateRequest {
  input: ResolvedPipelineInput;
  ingested: IngestResult;
  features: FeaturesResult;
  trained: TrainResult;
  /** The champion, whatever its data set; compared only when that is the candidate's. */
  champion: RegisteredVersion | null;
}

export interface EvaluateActivities {
  /** The version that holds the alias `champion`, or null. */
  findChampion: (modelName: string) => Promise<RegisteredVersion | null>;
  /** Scores candidate, champion and baselines on weeks that the candidate never saw. */
  backtest: (request: EvaluateRequest) => Promise<EvaluateResult>;
  /** Decides on the backtest, and logs numbers and decision to MLflow. */
  decide: (request: { input: ResolvedPipelineInput; evaluated: EvaluateResult }) => Promise<GateDecision>;
  /** Makes the model a registered version; once per run. */
  register: (request: {
    input: ResolvedPipelineInput;
    trained: TrainResult;
    snapshotId: string;
  }) => Promise<RegisteredVersion>;
}

export function createEvaluateActivities(deps: Dependencies): EvaluateActivities {
  return {
    findChampion: (modelName) => findChampion(deps, modelName),

    backtest: ({ input, ingested, features, trained, champion }) => {
      const spec: EvaluateSpec = {
        snapshot: ingested.snapshot,
        trainingDataUri: features.trainingDataUri,
        oracleUri: ingested.oracleUri,
        horizonWeeks: input.horizonWeeks,
        testWeeks: input.testWeeks,
        candidateUri: trained.modelUri,
        championUri: champion?.dataset === input.dataset ? champion.modelUri : null,
      };
      return runJob(
        deps,
        { stage: 'evaluate', spec, resultSchema: evaluateResultSchema },
        activityJobContext(),
      );
    },

    decide: async ({ input, evaluated }) => {
      const gate = decideGate(evaluated, input.gate);
      const run = await openMlflowRun(deps.mlflow, input.modelName, currentRunKey());
      await recordEvaluation(deps, run, evaluated, gate);
      return gate;
    },

    register: async ({ input, trained, snapshotId }) => {
      const run = await openMlflowRun(deps.mlflow, input.modelName, currentRunKey());
      return registerModel(deps, run, {
        modelName: input.modelName,
        modelUri: trained.modelUri,
        modelHash: trained.modelHash,
        dataset: input.dataset,
        snapshotId,
      });
    },
  };
}

export async function findChampion(
  { mlflow }: Pick<Dependencies, 'mlflow'>,
  modelName: string,
): Promise<RegisteredVersion | null> {
  const found = await mlflow.versionByAlias(modelName, 'champion');
  if (found === null) return null;
  const tag = (key: string): string => {
    const value = found.tags[key];
    if (value !== undefined) return value;
    throw ApplicationFailure.nonRetryable(
      `version ${found.version} of ${modelName} holds the alias champion but lacks the tag ${key}: ` +
        'give the alias to a version that shelfcast registered',
      ERROR_TYPES.invalidInput,
    );
  };
  return {
    modelName,
    version: found.version,
    runId: found.runId,
    modelUri: tag(VERSION_TAGS.modelUri),
    modelHash: tag(VERSION_TAGS.modelHash),
    dataset: tag(VERSION_TAGS.dataset),
  };
}
