/** How the command line starts, goes on with and shows runs. */
import { findChampion } from '../activities/evaluate.ts';
import { ERROR_TYPES } from '../contracts/errors.ts';
import { DEFAULT_MODEL_NAME, pipelineWorkflowId } from '../contracts/names.ts';
import type { PipelineInput } from '../contracts/pipeline.ts';
import type { UpdateInput } from '../contracts/update.ts';
import { refreshEndpoints } from '../infra/local/services.ts';
import { createMlflow } from '../infra/mlflow.ts';
import type { AnyHandle, Shelfcast } from '../client/client.ts';
import { PipelineError } from '../client/client.ts';
import { readLocalConfig } from '../config/environment.ts';
import { follow } from './follow.ts';
import { print, tell, teller } from './output.ts';
import { report, updateReport } from './report.ts';

const NOT_PROMOTED = 3;

/**
 * Goes on with a run that is under way, shows one that ended well, or starts one.
 *
 * @param isAsked whether a person said what to run; otherwise any earlier run will do
 */
export async function runOnce(shelfcast: Shelfcast, input: PipelineInput, isAsked: boolean): Promise<void> {
  const model = input.modelName ?? DEFAULT_MODEL_NAME;
  const running = await shelfcast.runningPipeline(model);
  if (running !== null) {
    tell(`going on with the run ${running.workflowId}`);
    const isOurs = isSame((await running.describe()).input, input);
    await followAndReport(running);
    if (isOurs || !isAsked) return;
    tell('that run had another input; starting one with yours');
  }
  const last = await lastRun(shelfcast, model);
  // Files and databases may hold new weeks; generated data are the same each time.
  const isGenerated = (input.source?.kind ?? 'generated') === 'generated';
  const isDone = !isAsked || (isGenerated && isSame(last?.input ?? null, input));
  if (last?.status === 'COMPLETED' && isDone) {
    tell(`the pipeline ran at ${last.endedAt?.toISOString() ?? ''}; \`npx shelfcast run\` runs it again`);
    print(report(await last.run.result(), await refreshEndpoints(readLocalConfig())));
    return;
  }
  if (!isAsked && (await isModelInUse(model))) return;
  await followAndReport(await shelfcast.startPipeline(input));
}

/** Temporal forgets runs after some days. A model that was made of somebody's data is not replaced unasked. */
async function isModelInUse(model: string): Promise<boolean> {
  const endpoints = await refreshEndpoints(readLocalConfig());
  const champion =
    endpoints === null ? null : await createMlflow(endpoints.mlflow).versionByAlias(model, 'champion');
  if (champion === null) return false;
  tell(`version ${champion.version} of ${model} is in use; \`npx shelfcast run\` trains another`);
  print(`predictor    ${endpoints?.predictor ?? ''}`);
  return true;
}

/**
 * The data set of the model in use.
 * @throws PipelineError `InvalidInput` when there is none, or when MLflow's address is not known here
 */
export async function championDataset(model: string): Promise<string> {
  const endpoints = await refreshEndpoints(readLocalConfig());
  const champion =
    endpoints === null ? null : await findChampion({ mlflow: createMlflow(endpoints.mlflow) }, model);
  if (champion === null) {
    throw new PipelineError(
      ERROR_TYPES.invalidInput,
      `no version of ${model} is in use here, so nothing says which data set is meant: name it with --dataset`,
    );
  }
  tell(`data set ${champion.dataset}, that of version ${champion.version} of ${model}`);
  return champion.dataset;
}

async function lastRun(shelfcast: Shelfcast, model: string) {
  const run = shelfcast.pipeline(pipelineWorkflowId(model));
  try {
    return { run, ...(await run.describe()) };
  } catch (error) {
    if (error instanceof PipelineError && error.type === 'NotFound') return null;
    throw error;
  }
}

const isSame = (a: PipelineInput | UpdateInput | null, b: PipelineInput): boolean =>
  JSON.stringify(a) === JSON.stringify(b);

export async function followAndReport(run: AnyHandle): Promise<void> {
  process.once('SIGINT', () => {
    process.stderr.write(`\nthe run ${run.workflowId} goes on; \`npx shelfcast watch\` follows it\n`);
    process.exit(130);
  });
  const result = await follow(run, teller);
  const endpoints = await refreshEndpoints(readLocalConfig());
  if (!('verdict' in result)) {
    print(`\n${updateReport(result, endpoints)}`);
    return;
  }
  print(`\n${report(result, endpoints)}`);
  if (result.verdict !== 'promoted') process.exitCode = NOT_PROMOTED;
}

export async function printRun(shelfcast: Shelfcast): Promise<void> {
  const run = await shelfcast.runningPipeline();
  if (run === null) return;
  const { stage } = await run.progress();
  print(`the run ${run.workflowId} is in ${stage ?? 'its beginning'}`);
}
