/** MLflow run of a pipeline run, found by its key: parameters, metrics, plots and the model. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { activityInfo } from '@temporalio/activity';
import type {
  EpochMetrics,
  EvaluateResult,
  FeaturesResult,
  IngestResult,
  StepMetrics,
  TrainResult,
  Trial,
} from '../contracts/jobs.ts';
import type { ReplacementKind, GateDecision } from '../contracts/gate.ts';
import { replacementOf } from '../contracts/gate.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import type { Mlflow, MlflowMetric, MlflowRun } from '../infra/mlflow/mlflow.ts';
import type { Dependencies } from './dependencies.ts';
import { withGate } from './model-card.ts';
import { currentRunKey } from './run-key.ts';

/** Tags of MLflow runs and model versions. `findChampion` reads modelUri, modelHash and dataset. */
export const MLFLOW_TAGS = {
  modelUri: 'shelfcast.model_uri',
  modelHash: 'shelfcast.model_hash',
  dataset: 'shelfcast.dataset',
  snapshot: 'shelfcast.snapshot',
  verdict: 'shelfcast.verdict',
  reason: 'shelfcast.reason',
  modelCard: 'shelfcast.model_card',
  workflowId: 'shelfcast.workflow_id',
  snapshotHash: 'shelfcast.snapshot_hash',
  featureSetVersion: 'shelfcast.feature_set_version',
  gate: 'shelfcast.gate',
} as const;

export const openMlflowRun = (mlflow: Mlflow, modelName: string, runKey: string): Promise<MlflowRun> =>
  mlflow.ensureRun(modelName, runKey, runKey);

/** Logs epochs. Timestamps depend on the run alone, so logging an epoch again stores nothing new. */
export async function logEpochs(mlflow: Mlflow, run: MlflowRun, epochs: EpochMetrics[]): Promise<void> {
  const metrics = epochs.flatMap((epoch): MlflowMetric[] => {
    const at = { timestamp: run.startTime + epoch.epoch, step: epoch.epoch };
    return [
      { key: 'train/loss', value: epoch.trainLoss, ...at },
      { key: 'validation/loss', value: epoch.validationLoss, ...at },
      { key: 'epoch_seconds', value: epoch.seconds, ...at },
    ];
  });
  await mlflow.logBatch(run.runId, { metrics });
}

/** Logs progress within an epoch. Best effort: `recordTraining` logs the complete history afterwards. */
export async function logSteps(
  mlflow: Pick<Mlflow, 'logBatch'>,
  run: MlflowRun,
  steps: StepMetrics[],
): Promise<void> {
  const metrics = steps.map(({ epoch, step, steps: stepsOfEpoch, loss }): MlflowMetric => {
    const done = (epoch - 1) * stepsOfEpoch + step;
    return { key: 'train/loss_so_far', value: loss, timestamp: run.startTime + done, step: done };
  });
  await mlflow.logBatch(run.runId, { metrics });
}

/** A finished training and its inputs. */
export interface TrainingRecord {
  input: ResolvedPipelineInput;
  load: IngestResult;
  features: FeaturesResult;
  model: TrainResult;
}

export async function recordTraining(
  { mlflow }: Pick<Dependencies, 'mlflow'>,
  { input, load, features, model }: TrainingRecord,
): Promise<void> {
  const { snapshot, quality } = load;
  const run = await openMlflowRun(mlflow, input.modelName, currentRunKey());
  await mlflow.logBatch(run.runId, {
    params: trainingParams(input, model),
    tags: {
      [MLFLOW_TAGS.workflowId]: activityInfo().workflowExecution?.workflowId ?? '',
      [MLFLOW_TAGS.snapshot]: snapshot.id,
      [MLFLOW_TAGS.snapshotHash]: snapshot.contentHash,
      [MLFLOW_TAGS.featureSetVersion]: features.featureSetVersion,
      [MLFLOW_TAGS.modelHash]: model.modelHash,
      [MLFLOW_TAGS.dataset]: input.dataset,
    },
  });
  await logEpochs(mlflow, run, model.epochs);
  await recordTrials(mlflow, input.modelName, currentRunKey(), run, model.search?.trials ?? []);
  await mlflow.uploadFolder(run.artifactUri, 'quality', fileURLToPath(quality.reportUri));
  await mlflow.uploadFolder(run.artifactUri, 'train', fileURLToPath(model.reportUri));
  await mlflow.uploadFolder(run.artifactUri, 'model', fileURLToPath(model.modelUri));
}

/** Records each trial of a search as a child run, once. */
export async function recordTrials(
  mlflow: Pick<Mlflow, 'ensureRun' | 'logBatch' | 'endRun'>,
  modelName: string,
  runKey: string,
  parent: MlflowRun,
  trials: Trial[],
): Promise<void> {
  for (const { number, parameters, validationLoss } of trials) {
    const child = await mlflow.ensureRun(modelName, `${runKey}/trial-${number}`, `trial ${number}`);
    const at = { timestamp: child.startTime, step: 0 };
    await mlflow.logBatch(child.runId, {
      params: stringsOf(parameters),
      tags: { 'mlflow.parentRunId': parent.runId },
      metrics: validationLoss === null ? [] : [{ key: 'validation/loss', value: validationLoss, ...at }],
    });
    await mlflow.endRun(child.runId, validationLoss === null ? 'FAILED' : 'FINISHED');
  }
}

function trainingParams(input: ResolvedPipelineInput, model: TrainResult): Record<string, string> {
  const { train, horizonWeeks, testWeeks, validationWeeks } = input;
  const { search, ...own } = train;
  const found = search === undefined ? {} : { searchTrials: search.trials, ...model.search?.best.parameters };
  return stringsOf({
    ...own,
    ...found,
    horizonWeeks,
    testWeeks,
    validationWeeks,
    ...trainedParams(model),
  });
}

/** Converts values to strings; undefined values are omitted. */
const stringsOf = (record: Record<string, string | number | undefined>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(record).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]])),
  );

const trainedParams = ({ parameterCount, bestEpoch }: TrainResult) => ({ parameterCount, bestEpoch });

/** Logs the backtest and the gate's decision, and ends the run. */
export async function recordEvaluation(
  { mlflow }: Dependencies,
  run: MlflowRun,
  backtest: EvaluateResult,
  gate: GateDecision,
  model: TrainResult,
): Promise<void> {
  await mlflow.logBatch(run.runId, {
    metrics: backtestMetrics(run, backtest),
    tags: {
      [MLFLOW_TAGS.gate]: gate.verdict,
      ...Object.fromEntries(gate.checks.map((check) => [`${MLFLOW_TAGS.gate}.${check.name}`, check.reason])),
    },
  });
  await uploadReport(mlflow, run, backtest, gate);
  const replacement = replacementOf(model, backtest, gate);
  if (replacement !== null) {
    const { instead, evaluated } = replacement;
    await uploadReport(mlflow, run, evaluated, gate, instead);
    const modelFolder = fileURLToPath(replacement.model.modelUri);
    await mlflow.uploadFolder(run.artifactUri, artifactsOf(instead).model, modelFolder);
  }
  await mlflow.endRun(run.runId, 'FINISHED');
}

/** Folders of a version among the artifacts of its run; those of a replacement are in a folder of its kind. */
export const artifactsOf = (instead: ReplacementKind | undefined) => {
  const parent = instead === undefined ? '' : `${instead}/`;
  const report = `${parent}evaluate`;
  return { model: `${parent}model`, report, modelCard: `${report}/model-card.md` };
};

/**
 * Logs the job's report with the gate's decision: as gate.json, and in the model card.
 * @param instead set when the report is of a model in the candidate's place
 */
export async function uploadReport(
  mlflow: Pick<Mlflow, 'uploadFolder' | 'uploadFile'>,
  run: Pick<MlflowRun, 'artifactUri'>,
  { reportUri, modelCardUri }: Pick<EvaluateResult, 'reportUri' | 'modelCardUri'>,
  gate: GateDecision,
  instead?: ReplacementKind,
): Promise<void> {
  const { report, modelCard } = artifactsOf(instead);
  // The card of a candidate that was replaced has the candidate's own judgement.
  const judgement = instead === undefined ? (gate.rejected ?? gate) : gate;
  const upload = (path: string, text: string) =>
    mlflow.uploadFile(run.artifactUri, path, new TextEncoder().encode(text));
  await mlflow.uploadFolder(run.artifactUri, report, fileURLToPath(reportUri));
  await upload(`${report}/gate.json`, JSON.stringify(gate, null, 2));
  // Replaces the job's card, which has no decision.
  await upload(modelCard, withGate(await readFile(fileURLToPath(modelCardUri), 'utf8'), judgement));
}

function backtestMetrics(run: MlflowRun, { overall, oneWeekAhead }: EvaluateResult): MlflowMetric[] {
  return Object.entries({ test: overall, test_one_week_ahead: oneWeekAhead }).flatMap(
    ([group, byForecaster]) =>
      Object.entries(byForecaster).flatMap(([forecaster, metrics]) =>
        Object.entries(metrics).flatMap(([name, value]): MlflowMetric[] =>
          value === null
            ? []
            : [{ key: `${group}/${forecaster}/${name}`, value, timestamp: run.startTime, step: 0 }],
        ),
      ),
  );
}
