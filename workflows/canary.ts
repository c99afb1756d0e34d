/** The canary: a growing share of traffic, each step on evidence. */
import { ApplicationFailure, proxyActivities, sleep } from '@temporalio/workflow';
import type { RolloutActivities, StepRequest } from '../activities/rollout.ts';
import { ERROR_TYPES } from '../contracts/errors.ts';
import type { StepEvidence } from '../contracts/pipeline.ts';
import type { Say } from './run.ts';
import { SERVICE_CALL } from './service-call.ts';

const TRIES_PER_STEP = 5;
/** Doubles with each try: a predictor that restarts is back within seconds. */
const FIRST_PAUSE_MS = 2_000;

const calls = proxyActivities<RolloutActivities>(SERVICE_CALL);
const { judgeStep } = proxyActivities<RolloutActivities>({
  ...SERVICE_CALL,
  // Hundreds of requests, at most 90 seconds each before the endpoint gives up ...
  startToCloseTimeout: '15 minutes',
  // ... with a heartbeat after each.
  heartbeatTimeout: '2 minutes',
  summary: 'Sends known weeks through the endpoint and decides',
});

/**
 * Gives the candidate its share step by step and returns the last step's reason. Collects evidence into `steps`.
 * @throws ApplicationFailure `CandidateFailed` or `TooLittleEvidence`; the traffic stays as the step set it.
 */
export async function runCanary(
  say: Say,
  request: Omit<StepRequest, 'weightPercent'>,
  steps: StepEvidence[],
): Promise<string> {
  const { candidate, champion, options } = request;
  let reason = '';
  for (const weightPercent of options.stepsPercent) {
    const weights = await calls.setTraffic({ candidate, champion, candidatePercent: weightPercent });
    say(`version ${candidate.version} has ${weightPercent} % of the traffic`);
    const evidence = await passStep({ ...request, weightPercent }, steps);
    reason = evidence.reason;
    await calls.audit({
      modelName: candidate.modelName,
      version: candidate.version,
      step: `traffic-${weightPercent}`,
      action: 'traffic',
      weights,
      reason,
      evidence: evidence.evidence,
    });
    say(`step of ${weightPercent} % passed: ${reason}`);
  }
  return reason;
}

async function passStep(request: StepRequest, steps: StepEvidence[]) {
  let reason = '';
  for (let attempt = 0; attempt < TRIES_PER_STEP; attempt += 1) {
    if (attempt > 0) await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1));
    const { evidence, decision } = await judgeStep(request);
    steps.push(evidence);
    reason = decision.reason;
    switch (decision.outcome) {
      case 'pass':
        return { evidence, reason };
      case 'fail':
        throw ApplicationFailure.nonRetryable(
          `at ${request.weightPercent} %: ${reason}`,
          ERROR_TYPES.candidateFailed,
        );
      case 'inconclusive':
        break;
    }
  }
  throw ApplicationFailure.nonRetryable(
    `at ${request.weightPercent} %: too little evidence in ${TRIES_PER_STEP} tries, at last: ${reason}`,
    ERROR_TYPES.tooLittleEvidence,
  );
}
