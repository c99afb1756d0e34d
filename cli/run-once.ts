/** Starting, resuming and reporting runs on the command line. */
import { findChampion } from '../activities/registry.ts';
import { ERROR_TYPES } from '../contracts/errors.ts';
import { DEFAULT_MODEL_NAME, pipelineWorkflowId } from '../contracts/names.ts';
import type { Endpoints } from '../contracts/endpoints.ts';
import type { PipelineInput } from '../contracts/pipeline.ts';
import type { UpdateInput } from '../contracts/update.ts';
import { refreshEndpoints } from '../infra/local/services.ts';
import { MlflowClient } from '../infra/mlflow/client.ts';
import type { AnyHandle, Shelfcast } from '../client/client.ts';
import { ShelfcastError } from '../client/shelfcast-error.ts';
import { EXIT_CODES } from './exit-codes.ts';
import { readLocalConfig, readMlflowServer } from '../config/environment.ts';
import { follow } from './follow.ts';
import { print, printProgress, progressPrinter } from './output.ts';
import { report, updateReport } from './report.ts';

/**
 * Follows the current run, reports the last one if it succeeded, or starts one.
 *
 * @param hasInput whether the user gave an input; without one, any earlier run is accepted
 * @returns the exit code
 */
export async function runOnce(
  shelfcast: Shelfcast,
  input: PipelineInput,
  hasInput: boolean,
): Promise<number> {
  const model = input.modelName ?? DEFAULT_MODEL_NAME;
  const current = await shelfcast.currentRun(model);
  if (current !== null) {
    printProgress(`following the run ${current.workflowId}, which is in progress`);
    const isSameInput = isSame((await current.describe()).input, input);
    const exitCode = await followAndReport(current, model);
    if (isSameInput || !hasInput) return exitCode;
    printProgress('that run had another input; starting a run with yours');
  }
  const isDone =
    (await reportLastRun(shelfcast, input, hasInput)) || (!hasInput && (await reportModelInUse(model)));
  return isDone ? EXIT_CODES.done : followAndReport(await shelfcast.startPipeline(input), model);
}

/** Prints the report of the last run if it succeeded and needs no repetition; returns whether it did. */
async function reportLastRun(
  shelfcast: Shelfcast,
  input: PipelineInput,
  hasInput: boolean,
): Promise<boolean> {
  const last = await lastRun(shelfcast, input.modelName ?? DEFAULT_MODEL_NAME);
  if (last?.status !== 'COMPLETED') return false;
  // Files and databases may hold new weeks; generated data are the same each time.
  const isGenerated = (input.source?.kind ?? 'generated') === 'generated';
  if (hasInput && !(isGenerated && isSame(last.input, input))) return false;
  printProgress(
    `the last run ended at ${last.endedAt?.toISOString() ?? ''}; \`npx shelfcast run\` starts another`,
  );
  print(report(await last.run.result(), await refreshEndpoints(readLocalConfig())));
  return true;
}

/** Prints the model in use; returns whether there is one. Needed because Temporal deletes old runs. */
async function reportModelInUse(model: string): Promise<boolean> {
  const endpoints = await refreshEndpoints(readLocalConfig());
  const champion = endpoints === null ? null : await mlflowOf(endpoints).versionByAlias(model, 'champion');
  if (champion === null) return false;
  printProgress(
    `version ${champion.version} of ${model} is in use; \`npx shelfcast run\` trains another version`,
  );
  print(`predictor    ${endpoints?.predictor ?? ''}`);
  return true;
}

/**
 * Returns the data set of the model in use.
 *
 * @throws ShelfcastError `InvalidInput` when there is none, or when MLflow's address is not known here
 */
export async function championDataset(model: string): Promise<string> {
  const endpoints = await refreshEndpoints(readLocalConfig());
  const champion = endpoints === null ? null : await findChampion({ mlflow: mlflowOf(endpoints) }, model);
  if (champion === null) {
    throw new ShelfcastError(
      ERROR_TYPES.invalidInput,
      `no version of ${model} is in use here, so its data set is unknown: give it with --dataset`,
    );
  }
  printProgress(`data set ${champion.dataset} of version ${champion.version} of ${model}`);
  return champion.dataset;
}

async function lastRun(shelfcast: Shelfcast, model: string) {
  const run = shelfcast.pipelineRun(pipelineWorkflowId(model));
  try {
    return { run, ...(await run.describe()) };
  } catch (error) {
    if (error instanceof ShelfcastError && error.type === 'NotFound') return null;
    throw error;
  }
}

const isSame = (a: PipelineInput | UpdateInput | null, b: PipelineInput): boolean =>
  JSON.stringify(a) === JSON.stringify(b);

/** Follows the run to its end, prints its report, and resolves to the exit code. */
export async function followAndReport(run: AnyHandle, modelName: string): Promise<number> {
  const stopFollowing = (): void => {
    process.stderr.write(`\nthe run ${run.workflowId} continues; \`npx shelfcast watch\` follows it\n`);
    process.exit(EXIT_CODES.interrupted);
  };
  process.once('SIGINT', stopFollowing);
  try {
    const result = await follow(run, progressPrinter, modelName);
    const endpoints = await refreshEndpoints(readLocalConfig());
    print(`\n${'verdict' in result ? report(result, endpoints) : updateReport(result, endpoints)}`);
    return !('verdict' in result) || result.verdict === 'promoted' ? EXIT_CODES.done : EXIT_CODES.notPromoted;
  } finally {
    process.off('SIGINT', stopFollowing);
  }
}

const mlflowOf = (endpoints: Endpoints): MlflowClient => new MlflowClient(readMlflowServer(endpoints.mlflow));
