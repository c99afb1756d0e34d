import { proxyActivities } from '@temporalio/workflow';
import type { EvaluateActivities } from '../activities/evaluate.ts';
import type { RolloutActivities } from '../activities/rollout.ts';
import type { TrainActivities } from '../activities/train.ts';
import type { EvaluateResult, FeaturesResult, IngestResult, TrainResult } from '../contracts/jobs.ts';
import type { GateDecision, RegisteredVersion, ResolvedPipelineInput } from '../contracts/pipeline.ts';
import { withJobCleanup, withMlflowRunCleanup, JOB } from './job-stage.ts';
import type { SetSummary } from './run.ts';
import { SERVICE_CALL } from './service-call.ts';
import { together } from './together.ts';

const jobs = proxyActivities<Pick<EvaluateActivities, 'backtest'>>({
  ...JOB,
  summary: 'Scores candidate, champion and baselines on unseen weeks',
});
const registry = proxyActivities<Omit<EvaluateActivities, 'backtest'> & RolloutActivities>(SERVICE_CALL);
const uploads = proxyActivities<Pick<TrainActivities, 'recordTraining'>>({
  ...SERVICE_CALL,
  // A model of hundreds of megabytes over a slow line.
  startToCloseTimeout: '20 minutes',
  summary: 'Logs the training and the model to MLflow',
});

const DECISIONS = { pass: 'passes', fail: 'rejects', needsApproval: 'asks a person about' } as const;

export interface Evaluated {
  backtest: EvaluateResult;
  gate: GateDecision;
  isRejected: boolean;
  reason: string;
  candidate: RegisteredVersion;
  /** Holder of the alias when the run began to evaluate, whatever its data set. */
  champion: RegisteredVersion | null;
}

/** The candidate's backtest, the gate's decision on it, and a registered version with both. */
export async function evaluate(
  setSummary: SetSummary,
  input: ResolvedPipelineInput,
  ingested: IngestResult,
  features: FeaturesResult,
  trained: TrainResult,
): Promise<Evaluated> {
  const champion = await registry.findChampion(input.modelName);
  const { backtest, gate, candidate } = await withMlflowRunCleanup(input.modelName, async () => {
    // MLflow takes its files while the backtest computes; neither waits for the other.
    const [backtest] = await together(
      () => withJobCleanup('evaluate', () => jobs.backtest({ input, ingested, features, trained, champion })),
      () => uploads.recordTraining({ input, ingested, features, trained }),
    );
    const gate = await registry.decide({ input, evaluated: backtest });
    const candidate = await registry.register({ input, trained, snapshotId: ingested.snapshot.id });
    return { backtest, gate, candidate };
  });

  const isRejected = gate.verdict === 'fail';
  const deciding = gate.checks.filter((check) => check.passed !== isRejected);
  const reason = `the gate ${DECISIONS[gate.verdict]} version ${candidate.version}: ${deciding.map((check) => check.reason).join('; ')}`;
  if (isRejected) await registry.tagVerdict({ candidate, verdict: 'rejected', reason });
  setSummary(reason);
  return { backtest, gate, isRejected, reason, candidate, champion };
}
