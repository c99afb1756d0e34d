/** Canary: a growing share of traffic for the candidate. The analysis of each step decides on the next step. */
import { ApplicationFailure, proxyActivities, sleep } from '@temporalio/workflow';
import type { AuditActivities } from '../activities/audit.ts';
import type { RolloutActivities, StepRequest } from '../activities/rollout.ts';
import { ERROR_TYPES } from '../contracts/errors.ts';
import type { StepAnalysis } from '../contracts/rollout.ts';
import type { SetSummary } from './run.ts';
import { SERVICE_CALL } from './service-call.ts';

const ATTEMPTS_PER_STEP = 5;
/** Pause before the second attempt of a step; it doubles each time. A predictor restarts within seconds. */
const FIRST_PAUSE_MS = 2_000;

const calls = proxyActivities<RolloutActivities & AuditActivities>(SERVICE_CALL);
const { analyzeStep } = proxyActivities<RolloutActivities>({
  ...SERVICE_CALL,
  // A step sends some hundred requests, normally in seconds.
  startToCloseTimeout: '15 minutes',
  // A heartbeat follows every request, which may take 90 seconds (TIMEOUT_MS in activities/endpoint.ts).
  heartbeatTimeout: '2 minutes',
  summary: 'Sends known weeks through the endpoint and decides on the answers',
});

/**
 * Gives the candidate its share step by step and returns the last step's reason. Each analysis is added to `steps`.
 * @throws ApplicationFailure `CandidateFailed` or `AnalysisInconclusive`; the traffic stays as the step set it.
 */
export async function runCanary(
  setSummary: SetSummary,
  request: Omit<StepRequest, 'weightPercent'>,
  steps: StepAnalysis[],
): Promise<string> {
  const { candidate, champion, options } = request;
  let reason = '';
  for (const weightPercent of options.stepsPercent) {
    const weights = await calls.setTraffic({ candidate, champion, candidatePercent: weightPercent });
    setSummary(`version ${candidate.version} has ${weightPercent} % of the traffic`);
    const step = await runStep({ ...request, weightPercent }, steps);
    reason = step.reason;
    await calls.audit({
      modelName: candidate.modelName,
      version: candidate.version,
      step: `traffic-${weightPercent}`,
      action: 'traffic',
      weights,
      reason,
      analysis: step.analysis,
    });
    setSummary(`step of ${weightPercent} % successful: ${reason}`);
  }
  return reason;
}

async function runStep(request: StepRequest, steps: StepAnalysis[]) {
  let reason = '';
  for (let attempt = 0; attempt < ATTEMPTS_PER_STEP; attempt += 1) {
    if (attempt > 0) await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1));
    const { analysis, decision } = await analyzeStep(request);
    steps.push(analysis);
    reason = decision.reason;
    switch (decision.outcome) {
      case 'successful':
        return { analysis, reason };
      case 'failed':
        throw ApplicationFailure.nonRetryable(
          `at ${request.weightPercent} %: ${reason}`,
          ERROR_TYPES.candidateFailed,
        );
      case 'inconclusive':
        break;
    }
  }
  throw ApplicationFailure.nonRetryable(
    `at ${request.weightPercent} %: inconclusive in ${ATTEMPTS_PER_STEP} attempts, at last: ${reason}`,
    ERROR_TYPES.analysisInconclusive,
  );
}
