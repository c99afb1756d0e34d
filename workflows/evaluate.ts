import { CancellationScope, proxyActivities } from '@temporalio/workflow';
import type { EvaluateActivities } from '../activities/evaluate.ts';
import type { RegistryActivities } from '../activities/registry.ts';
import type { TrainActivities } from '../activities/train.ts';
import type {
  Evaluated,
  EvaluateResult,
  FeaturesResult,
  IngestResult,
  TrainResult,
} from '../contracts/jobs.ts';
import type { GateCheck, GateDecision } from '../contracts/gate.ts';
import { GATE_VERBS } from '../contracts/gate.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import type { RegisteredVersion } from '../contracts/rollout.ts';
import { withJobCleanup, withMlflowRunCleanup, JOB } from './job-stage.ts';
import type { SetSummary } from './run.ts';
import { SERVICE_CALL } from './service-call.ts';

const jobs = proxyActivities<Pick<EvaluateActivities, 'backtest'>>({
  ...JOB,
  summary: 'Scores candidate, champion and baselines on unseen weeks',
});
const calls = proxyActivities<Pick<EvaluateActivities, 'decide'> & RegistryActivities>(SERVICE_CALL);
const uploads = proxyActivities<Pick<TrainActivities, 'recordTraining'>>({
  ...SERVICE_CALL,
  // A model may have hundreds of megabytes, and a connection may be slow.
  startToCloseTimeout: '20 minutes',
  summary: 'Logs the training and the model to MLflow',
});

export interface Evaluation {
  backtest: Evaluated;
  gate: GateDecision;
  isRejected: boolean;
  reason: string;
  /** Sentence about a simple forecast that takes the place of the network; null where none does. */
  replacement: string | null;
  candidate: RegisteredVersion;
  /** Version that held the alias `champion` when the stage began, whatever its data set. */
  champion: RegisteredVersion | null;
}

/** Runs the backtest, lets the gate decide on it, and registers the candidate. */
export async function evaluate(
  setSummary: SetSummary,
  input: ResolvedPipelineInput,
  load: IngestResult,
  features: FeaturesResult,
  model: TrainResult,
): Promise<Evaluation> {
  const champion = await calls.findChampion(input.modelName);
  const { backtest, gate, candidate } = await withMlflowRunCleanup(input.modelName, async () => {
    const backtest = await backtestAndUpload(
      () => withJobCleanup('evaluate', () => jobs.backtest({ input, load, features, model, champion })),
      () => uploads.recordTraining({ input, load, features, model }),
    );
    const gate = await calls.decide({ input, backtest, simpleForecast: model.simpleForecast });
    const winner = winnerOf(model, backtest, gate);
    const candidate = await calls.register({ input, snapshotId: load.snapshot.id, ...winner.registered });
    return { backtest: winner.backtest, gate, candidate };
  });

  const isRejected = gate.verdict === 'fail';
  const replacement = replacementOf(model, gate, input.train.preset);
  const deciding = gate.checks.filter((check) => check.passed !== isRejected);
  const decision = `the gate ${GATE_VERBS[gate.verdict]} version ${candidate.version}: ${reasonsOf(deciding)}`;
  const reason = replacement === null ? decision : `${replacement}; ${decision}`;
  if (isRejected) await calls.tagVerdict({ candidate, verdict: 'rejected', reason });
  setSummary(reason);
  return { backtest, gate, isRejected, reason, replacement, candidate, champion };
}

/** Returns what the gate decided for: the network, or the simple forecast in its place. */
function winnerOf(
  model: TrainResult,
  { simple, ...backtest }: EvaluateResult,
  { rejected }: GateDecision,
): {
  backtest: Evaluated;
  registered: Pick<Parameters<RegistryActivities['register']>[0], 'model' | 'isSimple'>;
} {
  if (rejected === undefined || simple === undefined || model.simpleForecast === undefined) {
    return { backtest, registered: { model } };
  }
  return { backtest: simple, registered: { model: model.simpleForecast, isSimple: true } };
}

/** Returns the sentence about a simple forecast that takes the place of the network, or null. */
function replacementOf(
  { simpleForecast }: TrainResult,
  { rejected, checks }: GateDecision,
  preset: string,
): string | null {
  if (rejected === undefined || simpleForecast === undefined) return null;
  const failed = checks.filter(({ passed }) => !passed);
  const others = Object.keys(simpleForecast.validationWmae).length;
  return (
    `the gate rejects the preset ${preset} (${reasonsOf(rejected.checks.filter(({ passed }) => !passed))}), so the simple ` +
    `forecast ${simpleForecast.name}, the best of ${others} on the validation weeks, takes its place` +
    (failed.length === 0
      ? ''
      : `, although it fails a check, because no model is in use (${reasonsOf(failed)})`)
  );
}

const reasonsOf = (checks: GateCheck[]): string => checks.map(({ reason }) => reason).join('; ');

/**
 * Uploads the training to MLflow while the backtest computes. When one of the two fails, the stage cancels the other and
 * waits for its end, so that nothing runs on after a failed stage.
 */
async function backtestAndUpload(
  backtest: () => Promise<EvaluateResult>,
  upload: () => Promise<void>,
): Promise<EvaluateResult> {
  return await CancellationScope.cancellable(async () => {
    const scope = CancellationScope.current();
    const running = [backtest(), upload()] as const;
    try {
      const [result] = await Promise.all(running);
      return result;
    } catch (error) {
      scope.cancel();
      await Promise.allSettled(running);
      throw error;
    }
  });
}
