/** Findings of the doctor, one for each thing that it checks. */
import type { KubernetesApi } from '../api.ts';
import type { KubernetesConfig } from '../config.ts';
import type { Connection } from '../connection.ts';
import { KubernetesError, MissingOperator } from '../errors.ts';

/** `unknown`: the user is not permitted to read the object. */
type Verdict = 'ok' | 'wrong' | 'unknown';

export interface Finding {
  verdict: Verdict;
  /** The object, and what was found. */
  what: string;
  /** Reason and advice when it is wrong or unknown; empty when it is ok. */
  advice: string;
}

/** The cluster under examination, as a worker with this configuration would use it. */
export interface Patient {
  api: KubernetesApi;
  /** Connection for requests that are not about an object: versions, dry runs. */
  connection: Connection;
  config: KubernetesConfig;
  /** Name of the workers' service account, and of their Deployment. */
  worker: string;
  /** Time that an operator may take to react to a new object. */
  operatorWithinMs: number;
}

/** Advice that several checks give. */
export const APPLY_OVERLAY = 'apply the overlay (kubectl apply -k, see docs/kubernetes.md)';

export const ok = (what: string): Finding => ({ verdict: 'ok', what, advice: '' });
export const wrong = (what: string, advice: string): Finding => ({ verdict: 'wrong', what, advice });
const unknown = (what: string, advice: string): Finding => ({ verdict: 'unknown', what, advice });

export const isForbidden = (error: unknown): boolean =>
  error instanceof KubernetesError && error.status === 403 && !isRefusedByWebhook(error);

/** Whether an operator's webhook refused the object, which is also answered with 403. */
export const isRefusedByWebhook = (error: unknown): boolean =>
  error instanceof KubernetesError && /admission webhook .* denied/.test(error.message);

/** Runs one check. An error of the check itself becomes a finding as well. */
export async function look(what: string, check: () => Promise<Finding | Finding[]>): Promise<Finding[]> {
  try {
    return [await check()].flat();
  } catch (error) {
    // Missing kinds have findings of their own.
    if (error instanceof MissingOperator) return [];
    if (isForbidden(error)) {
      return [unknown(what, 'you have no permission to read it; run the doctor as an administrator')];
    }
    return [wrong(what, (error as Error).message)];
  }
}
