import { CancellationScope, isCancellation, proxyActivities } from '@temporalio/workflow';
import type { TrainingServingSkewActivities } from '../activities/training-serving-skew.ts';
import type { AuditActivities } from '../activities/audit.ts';
import type { RegistryActivities } from '../activities/registry.ts';
import type { RolloutActivities } from '../activities/rollout.ts';
import type { FeaturesResult } from '../contracts/jobs.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import type { RolloutParties, RolloutResult, StepAnalysis } from '../contracts/rollout.ts';
import { runCanary } from './canary.ts';
import type { Evaluation } from './evaluate.ts';
import { failureReason, isCandidatesFault } from './rollout-failure.ts';
import type { PipelineRun, SetSummary } from './run.ts';
import { SERVICE_CALL } from './service-call.ts';

const calls = proxyActivities<RolloutActivities & RegistryActivities & AuditActivities>(SERVICE_CALL);
const { deploy, checkForecastParity } = proxyActivities<RolloutActivities>({
  ...SERVICE_CALL,
  // The activity itself gives up when a predictor is not ready in the time that the run's input allows, at most an hour.
  startToCloseTimeout: '61 minutes',
  scheduleToCloseTimeout: '90 minutes',
  heartbeatTimeout: '30 seconds',
});
const { checkTrainingServingSkew } = proxyActivities<TrainingServingSkewActivities>({
  ...SERVICE_CALL,
  summary: 'Compares the features that the candidate reads online with the training data',
});
// Taking traffic from a failing candidate is retried much longer than anything else.
const { setTraffic: revokeTraffic } = proxyActivities<RolloutActivities>({
  ...SERVICE_CALL,
  scheduleToCloseTimeout: '24 hours',
  retry: { initialInterval: '200 milliseconds', backoffCoefficient: 2, maximumInterval: '5 seconds' },
  summary: 'Weight 0 for the candidate',
});

/** Deploys the candidate beside the champion and moves the traffic to it step by step, or rolls it back to weight 0. */
export async function rollout(
  setSummary: SetSummary,
  run: PipelineRun,
  input: ResolvedPipelineInput,
  { skewSampleUri }: FeaturesResult,
  { candidate, champion, backtest, gate }: Evaluation,
): Promise<RolloutResult> {
  const parties = { candidate, champion };
  const isFirst = champion?.dataset !== input.dataset;
  const analysisRowsUri = backtest.analysisRowsUri;
  const steps: StepAnalysis[] = [];
  const result = (verdict: RolloutResult['verdict'], reason: string): RolloutResult => ({
    verdict,
    reason,
    path: isFirst ? 'first-model' : 'canary',
    version: candidate.version,
    previousVersion: champion?.version ?? null,
    steps,
  });

  try {
    await deploy({ ...parties, readyWithinSeconds: input.rollout.readyWithinSeconds });
    const sameForecasts = await checkForecastParity({ candidate, analysisRowsUri });
    const sameFeatures = await checkTrainingServingSkew({ candidate, skewSampleUri });
    const parity = `${sameForecasts}; ${sameFeatures}`;
    setSummary(`version ${candidate.version} is deployed at 0 %: ${parity}`);
    const mustBeApproved = input.rollout.approval === 'required' || gate.verdict === 'needsApproval';
    const approval = mustBeApproved ? `, approved by ${await run.waitForApproval()}` : '';
    const grounds = isFirst
      ? `first model of the data set ${input.dataset}: takes the short path, 100 % at once; ${parity}`
      : await runCanary(setSummary, { ...parties, analysisRowsUri, options: input.rollout }, steps);
    const reason = `version ${candidate.version} promoted${approval}; ${grounds}`;
    // Not cancellable: traffic, alias and audit change together, or all go back.
    await CancellationScope.nonCancellable(() => promote(parties, reason));
    setSummary(reason);
    return result('promoted', reason);
  } catch (error) {
    const why = isCancellation(error) ? run.stopReason() : failureReason(error);
    const reason = `version ${candidate.version} rolled back: ${why}`;
    await CancellationScope.nonCancellable(() => rollBack(parties, reason, steps.at(-1)));
    setSummary(reason);
    if (!isCandidatesFault(error)) throw error;
    return result('rolled-back', reason);
  }
}

async function promote({ candidate, champion }: RolloutParties, reason: string): Promise<void> {
  const { modelName, version } = candidate;
  const weights = await calls.setTraffic({ candidate, champion, candidatePercent: 100 });
  await calls.moveAliases({ candidate, champion });
  await calls.audit({ modelName, version, step: 'promoted', action: 'promoted', weights, reason });
  await calls.tagVerdict({ candidate, verdict: 'promoted', reason });
  // The previous champion stays deployed for a quick rollback; older versions end.
  await calls.removeAllBut({ modelName, keep: champion === null ? [version] : [version, champion.version] });
}

/** Sets weight 0 before anything else. */
async function rollBack(
  { candidate, champion }: RolloutParties,
  reason: string,
  analysis: StepAnalysis | undefined,
): Promise<void> {
  const { modelName, version } = candidate;
  const weights = await revokeTraffic({ candidate, champion, candidatePercent: 0 });
  await calls.restoreAliases({ candidate, champion });
  const row = { modelName, version, step: 'rolled-back', action: 'rolled-back', weights, reason } as const;
  await calls.audit(analysis === undefined ? row : { ...row, analysis });
  await calls.tagVerdict({ candidate, verdict: 'rolled-back', reason });
  await calls.removeVersion({ modelName, version });
}
