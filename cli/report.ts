/** Reports of ended runs: tables and addresses, as text. */
import Table from 'cli-table3';
import type { Endpoints } from '../contracts/endpoints.ts';
import type { Metrics } from '../contracts/jobs.ts';
import { FORECASTER_LABELS, FORECASTERS } from '../contracts/jobs.ts';
import { amount, percent } from '../contracts/number-format.ts';
import type { MonitorResult, PipelineResult, SampleForecast } from '../contracts/pipeline.ts';
import { STAGES } from '../contracts/stages.ts';
import type { UpdateResult } from '../contracts/update.ts';

export function report(result: PipelineResult, endpoints: Endpoints | null): string {
  const { evaluate, ingest, monitor } = result;
  const { snapshot } = ingest;
  return [
    `${snapshot.rowCount} rows of ${snapshot.seriesCount} series, ${snapshot.firstWeek} to ${snapshot.lastWeek}, snapshot ${snapshot.id}`,
    '',
    `Accuracy on ${evaluate.testFirstWeek} to ${evaluate.testLastWeek}, weeks that the model never saw:`,
    accuracyTable(result),
    '',
    `${result.modelName}: ${result.reason}`,
    ...sliceCheck(result),
    ...(monitor === null
      ? []
      : ['', `Next week, by version ${monitor.modelVersion}:`, samplesTable(monitor.samples, snapshot.unit)]),
    ...(endpoints === null ? [] : ['', addresses(result, endpoints)]),
    '',
    stageTimes(result),
  ].join('\n');
}

/** Returns the gate's sentence about slices where that check passed; the reason of a rejection has it already. */
function sliceCheck({ gate }: PipelineResult): string[] {
  const check = gate.checks.find(({ name }) => name === 'slices');
  return check?.passed === true ? [`gate: ${check.reason}`] : [];
}

/** Report of an update run. */
export function updateReport(result: UpdateResult, endpoints: Endpoints | null): string {
  const { dataset, ingest, monitor } = result;
  const { snapshot, insertedRows, unchangedRows, badRows } = ingest;
  const came =
    insertedRows === 0
      ? `no new sales: all ${unchangedRows} rows were known already`
      : `${insertedRows} rows of sales are new or changed, ${unchangedRows} were known already, ${badRows} were bad`;
  return [
    `${came}; data set ${dataset}, ${snapshot.firstWeek} to ${snapshot.lastWeek}, snapshot ${snapshot.id}`,
    '',
    comparison(monitor),
    '',
    `Next week, by version ${monitor.modelVersion}:`,
    samplesTable(monitor.samples, snapshot.unit),
    ...(endpoints === null ? [] : ['', addresses(result, endpoints)]),
    '',
    stageTimes(result),
  ].join('\n');
}

function comparison({ actualsCompared, wape }: MonitorResult): string {
  if (actualsCompared === 0) return 'There are no earlier forecasts of the new weeks.';
  const error = wape === null ? 'the weeks had no sales' : `WAPE ${percent(wape)}`;
  return `${actualsCompared} earlier forecasts of the new weeks: ${error}`;
}

function accuracyTable({ evaluate: { overall, oneWeekAhead }, gate, ingest, train }: PipelineResult): string {
  const { unit } = ingest.snapshot;
  const table = newTable(['', 'WMAE', 'one week ahead', 'WAPE', 'RMSE', 'bias', 'in 80 % interval']);
  for (const forecaster of FORECASTERS) {
    const metrics = overall[forecaster];
    if (metrics === undefined) continue;
    const next = oneWeekAhead[forecaster];
    table.push([
      FORECASTER_LABELS[forecaster],
      amount(metrics.wmae, unit),
      next === undefined ? '' : amount(next.wmae, unit),
      ...rest(metrics, unit),
    ]);
  }
  return `${table.toString()}\n${overall.candidate?.rows ?? 0} forecasts, holiday weeks weigh 5 in WMAE; the model ${
    train.parameterCount === 0 || gate.instead === 'simple'
      ? 'is a simple forecast'
      : `has ${train.parameterCount} parameters`
  }`;
}

const rest = ({ wape, rmse, bias, coverage80 }: Metrics, unit: string | undefined): string[] => [
  wape === null ? '' : percent(wape),
  amount(rmse, unit),
  amount(bias, unit),
  coverage80 === null ? '' : percent(coverage80),
];

function samplesTable(samples: readonly SampleForecast[], unit: string | undefined): string {
  const table = newTable(['store', 'dept', 'week', 'forecast', '80 % interval']);
  for (const { store, dept, targetWeek, p10, p50, p90 } of samples) {
    table.push([store, dept, targetWeek, amount(p50, unit), `${amount(p10, unit)} to ${amount(p90, unit)}`]);
  }
  return table.toString();
}

function addresses(
  { modelName, monitor }: Pick<PipelineResult, 'modelName' | 'monitor'>,
  endpoints: Endpoints,
): string {
  const [sample] = monitor?.samples ?? [];
  const instance = { store: sample?.store ?? 1, dept: sample?.dept ?? 1, horizon: 1 };
  // The shell takes the body in single quotes.
  const body = JSON.stringify({ instances: [instance] }).replaceAll("'", '\\u0027');
  return [
    `Temporal UI  ${endpoints.temporalUi}`,
    `MLflow       ${endpoints.mlflow}`,
    `predictor    ${endpoints.predictor}`,
    '',
    'Ask for a forecast:',
    `  curl -s -H 'content-type: application/json' ${endpoints.predictor}/v1/models/${modelName}:predict -d '${body}'`,
  ].join('\n');
}

function stageTimes({ stageSeconds }: Pick<PipelineResult, 'stageSeconds'>): string {
  const table = newTable([...STAGES, 'all']);
  const seconds = STAGES.map((stage) => stageSeconds[stage]);
  const all = seconds.reduce<number>((sum, value) => sum + (value ?? 0), 0);
  table.push([...seconds, all].map((value) => (value === undefined ? 'skipped' : `${value.toFixed(1)} s`)));
  return table.toString();
}

const newTable = (head: string[]) => new Table({ head, style: { head: [], border: [], compact: true } });
