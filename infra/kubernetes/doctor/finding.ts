/** Findings of the doctor's checks, and what the checks share. */
import type { KubernetesApi } from '../api.ts';
import type { KubernetesConfig } from '../config.ts';
import type { Connection } from '../connection.ts';
import { KubernetesError, MissingOperator } from '../errors.ts';

/** `unknown`: the user is not permitted to read the object. */
type Status = 'ok' | 'wrong' | 'unknown';

export interface Finding {
  status: Status;
  /** Object, and its state. */
  what: string;
  /** Reason and advice when it is wrong or unknown; empty when it is ok. */
  advice: string;
}

/** Cluster that is checked, and the configuration of the worker that would use it. */
export interface CheckContext {
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

export const ok = (what: string): Finding => ({ status: 'ok', what, advice: '' });
export const wrong = (what: string, advice: string): Finding => ({ status: 'wrong', what, advice });
const unknown = (what: string, advice: string): Finding => ({ status: 'unknown', what, advice });

export const isForbidden = (error: unknown): boolean =>
  error instanceof KubernetesError && error.status === 403 && !isRefusedByWebhook(error);

/** Whether an operator's webhook refused the object; the API server answers 403 then, too. */
export const isRefusedByWebhook = (error: unknown): boolean =>
  error instanceof KubernetesError && /admission webhook .* denied/.test(error.message);

/** Runs one check. An error becomes a finding as well. */
export async function runCheck(what: string, check: () => Promise<Finding | Finding[]>): Promise<Finding[]> {
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
