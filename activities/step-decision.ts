/** What a canary step's evidence allows. */
import type { RolloutOptions, StepDecision, StepEvidence } from '../contracts/pipeline.ts';

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
 * A fault of the candidate fails the step as soon as it is certain. Evidence that is too thin, or that an unreachable
 * predictor spoiled, is inconclusive.
 */
export function decideStep(
  evidence: StepEvidence,
  options: Pick<
    RolloutOptions,
    'minRequestsPerStep' | 'minComparedPerStep' | 'maxErrorRate' | 'maxRegression'
  >,
  { candidate, champion }: StepParties,
): StepDecision {
  const requests = evidence.requests[candidate] ?? 0;
  const failed = evidence.failedRequests[candidate] ?? 0;
  const unreachable = evidence.unreachable[candidate] ?? 0;
  const compared = evidence.compared[candidate] ?? 0;
  const { minRequestsPerStep, minComparedPerStep } = options;

  if (evidence.maxParityDifference > PARITY_TOLERANCE) {
    return fail(
      `version ${candidate} answers up to ${share(evidence.maxParityDifference)} off what its evaluation computed ` +
        `for the same features (allowed: ${share(PARITY_TOLERANCE)})`,
    );
  }
  if (hasTooManyFailures(evidence, options, candidate)) {
    return fail(
      `version ${candidate} failed ${failed} of ${requests} requests (allowed: ${share(options.maxErrorRate)})`,
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
  return decideError(evidence, options.maxRegression, { candidate, champion });
}

/** More failures than the whole step may have, even if all its other requests succeed. */
export function hasTooManyFailures(
  evidence: StepEvidence,
  options: Pick<RolloutOptions, 'minRequestsPerStep' | 'maxErrorRate'>,
  candidate: number,
): boolean {
  const requests = Math.max(evidence.requests[candidate] ?? 0, options.minRequestsPerStep);
  // Not `failed > rate * requests`: 0.29 * 100 is a little less than 29.
  return (evidence.failedRequests[candidate] ?? 0) / requests > options.maxErrorRate;
}

function decideError(evidence: StepEvidence, maxRegression: number, parties: StepParties): StepDecision {
  const { candidate, champion } = parties;
  const own = evidence.wape[candidate];
  const weeks = `${evidence.compared[candidate] ?? 0} known weeks`;
  if (own === undefined)
    return inconclusive(`the sales of the ${weeks} add up to zero: no relative error exists`);
  if (champion === null) return pass(`WAPE ${share(own)} on ${weeks}; no champion can answer the same weeks`);
  const other = evidence.wape[champion];
  if (other === undefined)
    return inconclusive(`version ${champion}, the champion, answered none of the ${weeks}`);
  const numbers = `WAPE ${share(own)} against the champion's ${share(other)} on the same ${weeks}`;
  return own <= other * (1 + maxRegression)
    ? pass(numbers)
    : fail(`${numbers} (at most ${share(maxRegression)} more is allowed)`);
}

const pass = (reason: string): StepDecision => ({ outcome: 'pass', reason });
const fail = (reason: string): StepDecision => ({ outcome: 'fail', reason });
const inconclusive = (reason: string): StepDecision => ({ outcome: 'inconclusive', reason });
const share = (value: number): string => `${Number((value * 100).toPrecision(3))} %`;
