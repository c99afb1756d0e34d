/** What the doctor says: one line for each thing it looked at. */
import type { KubernetesApi } from '../api.ts';
import type { KubernetesConfig } from '../config.ts';
import type { Connection } from '../connection.ts';
import { KubernetesError, MissingOperator } from '../errors.ts';

/** `unknown`: the user who asks may not look. */
type Verdict = 'ok' | 'wrong' | 'unknown';

export interface Finding {
  verdict: Verdict;
  /** The thing, with what was found of it. */
  what: string;
  /** Why it is wrong or unknown, and what to do; empty when it is ok. */
  advice: string;
}

/** The cluster that is looked at, as a worker with this configuration would use it. */
export interface Patient {
  api: KubernetesApi;
  /** For what has no object: versions, dry runs. */
  connection: Connection;
  config: KubernetesConfig;
  /** Name of the workers' service account, and of their Deployment. */
  worker: string;
  /** How long an operator may take to look at something new. */
  operatorWithinMs: number;
}

/** Advice that several checks give. */
export const APPLY_OVERLAY = 'apply the overlay (kubectl apply -k, see docs/kubernetes.md)';

export const ok = (what: string): Finding => ({ verdict: 'ok', what, advice: '' });
export const wrong = (what: string, advice: string): Finding => ({ verdict: 'wrong', what, advice });
const unknown = (what: string, advice: string): Finding => ({ verdict: 'unknown', what, advice });

export const isForbidden = (error: unknown): boolean =>
  error instanceof KubernetesError && error.status === 403 && !isRefusedByWebhook(error);

/** An operator's webhook looked at an object and did not like it, which also is answered 403. */
export const isRefusedByWebhook = (error: unknown): boolean =>
  error instanceof KubernetesError && /admission webhook .* denied/.test(error.message);

/** Runs one check. A failure of the check itself is a finding too. */
export async function look(what: string, check: () => Promise<Finding | Finding[]>): Promise<Finding[]> {
  try {
    return [await check()].flat();
  } catch (error) {
    // The kinds that are missing have lines of their own.
    if (error instanceof MissingOperator) return [];
    if (isForbidden(error)) {
      return [unknown(what, 'you may not look at it; ask as somebody who may, such as an administrator')];
    }
    return [wrong(what, (error as Error).message)];
  }
}
