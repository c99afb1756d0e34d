/** Decision on a canary step: the numbers of its analysis in, an outcome with its reason out. */
import type { RolloutOptions } from '../contracts/pipeline.ts';
import type { StepAnalysis, StepDecision } from '../contracts/rollout.ts';

/**
 * How far the deployed candidate's forecasts may be from those that were evaluated, relative to the latter: float
 * kernels of another build round differently, a wrong feature or graph is off by far more.
 */
export const PARITY_TOLERANCE = 1e-4;

export interface StepParties {
  candidate: number;
  /** Null when no champion could answer the same weeks. */
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
  { candidate, champion }: StepParties,
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

/** More failures than the whole step may have, even if all its other requests succeed. */
export function hasTooManyFailures(
  analysis: StepAnalysis,
  options: Pick<RolloutOptions, 'minRequestsPerStep' | 'maxErrorRate'>,
  candidate: number,
): boolean {
  const requests = Math.max(analysis.requests[candidate] ?? 0, options.minRequestsPerStep);
  // Not `failed > rate * requests`: 0.29 * 100 is a little less than 29.
  return (analysis.failedRequests[candidate] ?? 0) / requests > options.maxErrorRate;
}

function compareErrors(analysis: StepAnalysis, maxRegression: number, parties: StepParties): StepDecision {
  const { candidate, champion } = parties;
  const own = analysis.wape[candidate];
  const weeks = `${analysis.compared[candidate] ?? 0} known weeks`;
  if (own === undefined)
    return inconclusive(`the sales of the ${weeks} add up to zero: no relative error exists`);
  if (champion === null)
    return successful(`WAPE ${share(own)} on ${weeks}; no champion can answer the same weeks`);
  const other = analysis.wape[champion];
  if (other === undefined)
    return inconclusive(`version ${champion}, the champion, answered none of the ${weeks}`);
  const numbers = `WAPE ${share(own)} against the champion's ${share(other)} on the same ${weeks}`;
  return own <= other * (1 + maxRegression)
    ? successful(numbers)
    : failed(`${numbers} (allowed: at most ${share(maxRegression)} more)`);
}

const successful = (reason: string): StepDecision => ({ outcome: 'successful', reason });
const failed = (reason: string): StepDecision => ({ outcome: 'failed', reason });
const inconclusive = (reason: string): StepDecision => ({ outcome: 'inconclusive', reason });
const share = (value: number): string => `${Number((value * 100).toPrecision(3))} %`;
