import { CancellationScope, isCancellation, proxyActivities } from '@temporalio/workflow';
import type { AuditActivities } from '../activities/audit.ts';
import type { RegistryActivities } from '../activities/registry.ts';
import type { RolloutActivities } from '../activities/rollout.ts';
import type { TrainingServingSkewActivities } from '../activities/training-serving-skew.ts';
import type { FeaturesResult } from '../contracts/jobs.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import type { RolloutResult, RolloutVersions, StepAnalysis } from '../contracts/rollout.ts';
import { championOnDataset } from '../contracts/rollout.ts';
import { failureReason, isCandidatesFault } from './activity-failure.ts';
import { runCanary } from './canary.ts';
import type { Evaluation } from './evaluate.ts';
import type { Run, SetSummary } from './run.ts';
import { SERVICE_CALL } from './service-call.ts';

const calls = proxyActivities<RolloutActivities & RegistryActivities & AuditActivities>(SERVICE_CALL);
const { deploy, checkForecastParity } = proxyActivities<RolloutActivities>({
  ...SERVICE_CALL,
  // The activity itself gives up after rollout.readyWithinSeconds, which is at most an hour.
  startToCloseTimeout: '61 minutes',
  scheduleToCloseTimeout: '90 minutes',
  heartbeatTimeout: '30 seconds',
});
const { checkTrainingServingSkew } = proxyActivities<TrainingServingSkewActivities>({
  ...SERVICE_CALL,
  summary: 'Compares the features that the candidate reads online with the training data',
});
// A failing candidate must lose its traffic, so this call is retried for a day; other calls end after 30 to 90 minutes.
const { setTraffic: revokeTraffic } = proxyActivities<RolloutActivities>({
  ...SERVICE_CALL,
  scheduleToCloseTimeout: '24 hours',
  retry: { initialInterval: '200 milliseconds', backoffCoefficient: 2, maximumInterval: '5 seconds' },
  summary: 'Weight 0 for the candidate',
});

/** Deploys the candidate beside the champion and moves the traffic to it step by step, or rolls it back to weight 0. */
export async function rollout(
  setSummary: SetSummary,
  run: Run,
  input: ResolvedPipelineInput,
  { skewSampleUri }: FeaturesResult,
  { candidate, champion, backtest, gate }: Evaluation,
): Promise<RolloutResult> {
  const versions = { candidate, champion };
  const isFirstOfDataset = championOnDataset(champion, input.dataset) === null;
  const analysisRowsUri = backtest.analysisRowsUri;
  const steps: StepAnalysis[] = [];
  const result = (verdict: RolloutResult['verdict'], reason: string): RolloutResult => ({
    verdict,
    reason,
    path: isFirstOfDataset ? 'first-model' : 'canary',
    version: candidate.version,
    previousVersion: champion?.version ?? null,
    steps,
  });

  try {
    const { readyWithinSeconds } = input.rollout;
    const checks = await deployAndVerify({ ...versions, readyWithinSeconds }, analysisRowsUri, skewSampleUri);
    setSummary(`version ${candidate.version} is deployed at 0 %: ${checks}`);
    const mustBeApproved = input.rollout.approval === 'required' || gate.verdict === 'needsApproval';
    const approval = mustBeApproved ? `, approved by ${await run.waitForApproval()}` : '';
    const evidence = isFirstOfDataset
      ? `first model of the data set ${input.dataset}: takes the short path, 100 % at once; ${checks}`
      : await runCanary(setSummary, { ...versions, analysisRowsUri, options: input.rollout }, steps);
    const reason = `version ${candidate.version} promoted${approval}; ${evidence}`;
    // Not cancellable: traffic, alias and audit change together, or all go back.
    await CancellationScope.nonCancellable(() => promote(versions, reason));
    setSummary(reason);
    return result('promoted', reason);
  } catch (error) {
    const cause = isCancellation(error) ? run.stopReason() : failureReason(error);
    const reason = `version ${candidate.version} rolled back: ${cause}`;
    await CancellationScope.nonCancellable(() => rollBack(versions, reason, steps.at(-1)));
    setSummary(reason);
    if (!isCandidatesFault(error)) throw error;
    return result('rolled-back', reason);
  }
}

/** Returns the sentences of both checks. @throws ActivityFailure when a check fails */
async function deployAndVerify(
  request: RolloutVersions & { readyWithinSeconds: number },
  analysisRowsUri: string,
  skewSampleUri: string,
): Promise<string> {
  const { candidate } = request;
  await deploy(request);
  const forecasts = await checkForecastParity({ candidate, analysisRowsUri });
  const features = await checkTrainingServingSkew({ candidate, skewSampleUri });
  return `${forecasts}; ${features}`;
}

async function promote({ candidate, champion }: RolloutVersions, reason: string): Promise<void> {
  const { modelName, version } = candidate;
  const weights = await calls.setTraffic({ candidate, champion, candidatePercent: 100 });
  await calls.moveAliases({ candidate, champion });
  await calls.audit({ modelName, version, step: 'promoted', action: 'promoted', weights, reason });
  await calls.tagVerdict({ candidate, verdict: 'promoted', reason });
  // The previous champion stays deployed for a quick rollback. Older versions end.
  await calls.removeAllBut({ modelName, keep: champion === null ? [version] : [version, champion.version] });
}

/** Rolls the candidate back. Traffic comes first: users must not wait for MLflow or the audit. */
async function rollBack(
  { candidate, champion }: RolloutVersions,
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
