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
import type { GateDecision } from '../contracts/gate.ts';
import { replacementOf } from '../contracts/gate.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import type { RegisteredVersion } from '../contracts/rollout.ts';
import { decisionSentence, replacementSentence } from './gate-sentences.ts';
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
  /** Sentence about the replacement of the candidate; null where there is none. */
  replacedBecause: string | null;
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
    const gate = await calls.decide({ input, unit: load.snapshot.unit, backtest, model, champion });
    const replacement = replacementOf(model, backtest, gate);
    const candidate = await calls.register({
      input,
      snapshotId: load.snapshot.id,
      model: replacement?.model ?? model,
      instead: replacement?.instead,
    });
    return { backtest: replacement?.evaluated ?? withoutReplacements(backtest), gate, candidate };
  });

  const isRejected = gate.verdict === 'fail';
  const replacedBecause = replacementSentence(model, gate, input.train.preset);
  const decision = decisionSentence(gate, candidate, champion);
  const reason = replacedBecause === null ? decision : `${replacedBecause}; ${decision}`;
  if (isRejected) await calls.tagVerdict({ candidate, verdict: 'rejected', reason });
  setSummary(reason);
  return { backtest, gate, isRejected, reason, replacedBecause, candidate, champion };
}

function withoutReplacements(backtest: EvaluateResult): Evaluated {
  const evaluated = { ...backtest };
  delete evaluated.simple;
  delete evaluated.wide;
  return evaluated;
}

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
