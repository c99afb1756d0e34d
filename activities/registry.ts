/** Model versions in MLflow's registry: aliases and tags of the candidate and the champion. */
import { ApplicationFailure } from '@temporalio/activity';
import { ERROR_TYPES } from '../contracts/errors.ts';
import type { TrainResult } from '../contracts/jobs.ts';
import type { ReplacementKind } from '../contracts/gate.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import type { RegisteredVersion, RolloutVersions } from '../contracts/rollout.ts';
import type { Verdict } from '../contracts/stages.ts';
import type { Dependencies } from './dependencies.ts';
import { currentRunKey } from './run-key.ts';
import { artifactsOf, openMlflowRun, MLFLOW_TAGS } from './tracking.ts';

interface RegisterRequest {
  input: ResolvedPipelineInput;
  model: Pick<TrainResult, 'modelUri' | 'modelHash'>;
  snapshotId: string;
  /** Set when the model takes the candidate's place. */
  instead?: ReplacementKind | undefined;
}

export interface RegistryActivities {
  /** Returns the version that holds the alias `champion`, or null. */
  findChampion: (modelName: string) => Promise<RegisteredVersion | null>;
  /** Registers the run's model as a version, once per run, and gives it the alias `candidate`. */
  register: (request: RegisterRequest) => Promise<RegisteredVersion>;
  /** Moves `champion` to the candidate and `previous` to the old champion. */
  moveAliases: (versions: RolloutVersions) => Promise<void>;
  /** Gives `champion` back to the old champion, unless a third version holds it now. */
  restoreAliases: (versions: RolloutVersions) => Promise<void>;
  /** Tags the version with the verdict of its run. A rejected version loses the alias `candidate`. */
  tagVerdict: (request: { candidate: RegisteredVersion; verdict: Verdict; reason: string }) => Promise<void>;
}

export function createRegistryActivities(deps: Pick<Dependencies, 'mlflow'>): RegistryActivities {
  const { mlflow } = deps;
  return {
    findChampion: (modelName) => findChampion(deps, modelName),

    register: (request) => register(deps, request, currentRunKey()),

    async moveAliases({ candidate: { modelName, version }, champion }) {
      if (champion !== null && champion.version !== version) {
        await mlflow.setAlias(modelName, 'previous', champion.version);
      }
      await mlflow.setAlias(modelName, 'champion', version);
      await mlflow.deleteAlias(modelName, 'candidate');
    },

    async restoreAliases({ candidate: { modelName, version }, champion }) {
      const holder = await mlflow.versionByAlias(modelName, 'champion');
      if (holder?.version === version) {
        if (champion === null) await mlflow.deleteAlias(modelName, 'champion');
        else await mlflow.setAlias(modelName, 'champion', champion.version);
      }
      await mlflow.deleteAlias(modelName, 'candidate');
    },

    async tagVerdict({ candidate, verdict, reason }) {
      await mlflow.tagVersion(candidate.modelName, candidate.version, {
        [MLFLOW_TAGS.verdict]: verdict,
        [MLFLOW_TAGS.reason]: reason.slice(0, 1_000),
      });
      if (verdict === 'rejected') await mlflow.deleteAlias(candidate.modelName, 'candidate');
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
    modelUri: tag(MLFLOW_TAGS.modelUri),
    modelHash: tag(MLFLOW_TAGS.modelHash),
    dataset: tag(MLFLOW_TAGS.dataset),
  };
}

export async function register(
  { mlflow }: Pick<Dependencies, 'mlflow'>,
  { input: { modelName, dataset }, model: { modelUri, modelHash }, snapshotId, instead }: RegisterRequest,
  runKey: string,
): Promise<RegisteredVersion> {
  const run = await openMlflowRun(mlflow, modelName, runKey);
  const artifacts = artifactsOf(instead);
  const { version } = await mlflow.ensureVersion({
    name: modelName,
    runId: run.runId,
    source: `${run.artifactUri}/${artifacts.model}`,
    tags: {
      [MLFLOW_TAGS.modelUri]: modelUri,
      [MLFLOW_TAGS.modelHash]: modelHash,
      [MLFLOW_TAGS.dataset]: dataset,
      [MLFLOW_TAGS.snapshot]: snapshotId,
      [MLFLOW_TAGS.modelCard]: `${run.artifactUri}/${artifacts.modelCard}`,
    },
  });
  await mlflow.setAlias(modelName, 'candidate', version);
  return { modelName, version, runId: run.runId, modelUri, modelHash, dataset };
}
