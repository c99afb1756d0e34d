/** Decision on a canary step, made from the numbers of its analysis. */
import type { RolloutOptions } from '../contracts/pipeline.ts';
import type { StepAnalysis, StepDecision } from '../contracts/rollout.ts';
import { PARITY_TOLERANCE } from './parity.ts';

/** Versions that an analysis compares. */
export interface ComparedVersions {
  candidate: number;
  /** Null when no champion can answer the same requests. */
  champion: number | null;
}

/**
 * Fails the step as soon as a fault of the candidate is certain. An analysis with too few requests or comparisons, or
 * with requests that did not reach the candidate, is inconclusive.
 */
export function decideStep(
  analysis: StepAnalysis,
  options: Pick<
    RolloutOptions,
    'minRequestsPerStep' | 'minComparedPerStep' | 'maxErrorRate' | 'maxRegression'
  >,
  { candidate, champion }: ComparedVersions,
): StepDecision {
  const requests = analysis.requests[candidate] ?? 0;
  const failures = analysis.failedRequests[candidate] ?? 0;
  const unreachable = analysis.unreachable[candidate] ?? 0;
  const compared = analysis.compared[candidate] ?? 0;
  const { minRequestsPerStep, minComparedPerStep } = options;

  if (analysis.maxParityDifference > PARITY_TOLERANCE) {
    return failed(
      `version ${candidate} differs by up to ${share(analysis.maxParityDifference)} from its evaluation ` +
        `on the same features (allowed: ${share(PARITY_TOLERANCE)})`,
    );
  }
  if (hasTooManyFailures(analysis, options, candidate)) {
    return failed(
      `version ${candidate} failed ${failures} of ${requests} requests (allowed: ${share(options.maxErrorRate)})`,
    );
  }
  if (unreachable > 0) {
    return inconclusive(`version ${candidate} could not be reached for ${unreachable} requests`);
  }
  if (requests < minRequestsPerStep) {
    return inconclusive(`version ${candidate} answered ${requests} of ${minRequestsPerStep} requests needed`);
  }
  if (compared < minComparedPerStep) {
    return inconclusive(
      `${compared} of ${minComparedPerStep} needed forecasts of version ${candidate} were compared`,
    );
  }
  return compareErrors(analysis, options.maxRegression, { candidate, champion });
}

/** Whether the candidate failed so many requests that the step cannot succeed any more. */
export function hasTooManyFailures(
  analysis: StepAnalysis,
  options: Pick<RolloutOptions, 'minRequestsPerStep' | 'maxErrorRate'>,
  candidate: number,
): boolean {
  const requests = Math.max(analysis.requests[candidate] ?? 0, options.minRequestsPerStep);
  // Not `failed > rate * requests`: 0.29 * 100 is a little less than 29.
  return (analysis.failedRequests[candidate] ?? 0) / requests > options.maxErrorRate;
}

function compareErrors(
  analysis: StepAnalysis,
  maxRegression: number,
  versions: ComparedVersions,
): StepDecision {
  const { candidate, champion } = versions;
  const forecasts = `${analysis.compared[candidate] ?? 0} forecasts`;
  // Sales that add up to zero have no relative error.
  const hasWape = analysis.wape[candidate] !== undefined;
  const errors = hasWape ? analysis.wape : (analysis.meanAbsoluteError ?? {});
  const own = errors[candidate];
  if (own === undefined) return inconclusive(`no forecast of version ${candidate} was compared`);
  const shown = (error: number): string => (hasWape ? share(error) : `${Number(error.toPrecision(3))}`);
  const name = hasWape ? 'WAPE' : 'without any sales, mean absolute error';
  if (champion === null)
    return successful(`${name} ${shown(own)} on ${forecasts}; no champion can answer the same requests`);
  const other = errors[champion];
  if (other === undefined)
    return inconclusive(`version ${champion}, the champion, answered none of the ${forecasts}`);
  const numbers = `${name} ${shown(own)} against the champion's ${shown(other)} on the same ${forecasts}`;
  return own <= other * (1 + maxRegression)
    ? successful(numbers)
    : failed(`${numbers} (allowed: at most ${share(maxRegression)} above)`);
}

const successful = (reason: string): StepDecision => ({ outcome: 'successful', reason });
const failed = (reason: string): StepDecision => ({ outcome: 'failed', reason });
const inconclusive = (reason: string): StepDecision => ({ outcome: 'inconclusive', reason });
const share = (value: number): string => `${Number((value * 100).toPrecision(3))} %`;
