/** Errors of requests to a Kubernetes API server. */
import { HttpError } from '../http.ts';

interface KubernetesFailure {
  /** Operation and object, e.g. `creating Job "x" in namespace "y"`. */
  operation: string;
  /** HTTP status. */
  status: number;
  /** Reason in Kubernetes' Status object, e.g. `AlreadyExists`; empty when a proxy before the API server answered. */
  reason: string;
  /** Text of the answer, for people. */
  message: string;
}

/** The API server answered with an error. */
export class KubernetesError extends HttpError {
  readonly reason: string;

  constructor({ operation, status, reason, message }: KubernetesFailure) {
    const answer = reason === '' ? `${status}` : `${status} ${reason}`;
    super(`Kubernetes: ${operation} was answered ${answer}: ${message}`, status);
    this.name = 'KubernetesError';
    this.reason = reason;
  }

  /**
   * Whether the API server, its store or an operator's webhook is unavailable or overloaded, so that a retry helps. An API server
   * answers 500 when it cannot reach its store or a webhook.
   */
  override get isUnavailable(): boolean {
    return this.status === 500 || super.isUnavailable;
  }
}

/** The object was changed by someone else since it was read: read it again and repeat. */
export class KubernetesConflict extends KubernetesError {
  constructor(failure: KubernetesFailure) {
    super(failure);
    this.name = 'KubernetesConflict';
  }
}

/** The cluster does not know this kind of object, because its operator is not installed. */
export class MissingOperator extends Error {
  constructor(apiVersion: string, kind: string) {
    super(
      `this cluster has no ${kind} of ${apiVersion}: install ${operatorOf(apiVersion)}, or check which version it has ` +
        `(kubectl api-resources --api-group=${groupOf(apiVersion)})`,
    );
    this.name = 'MissingOperator';
  }
}

const groupOf = (apiVersion: string): string => apiVersion.replace(/\/?[^/]*$/, '');

function operatorOf(apiVersion: string): string {
  const group = groupOf(apiVersion);
  switch (group) {
    case 'ray.io':
      return 'KubeRay (1.4 or later)';
    case 'trainer.kubeflow.org':
      return 'Kubeflow Trainer (2.2 or later)';
    case 'jobset.x-k8s.io':
      return 'JobSet';
    case 'serving.kserve.io':
      return 'KServe (0.15 or later)';
    case 'gateway.networking.k8s.io':
      return "the Gateway API's custom resources and a gateway controller";
    case 'kueue.x-k8s.io':
      return 'Kueue';
    case 'keda.sh':
      return 'KEDA';
    case 'route.openshift.io':
      return 'OpenShift';
    default:
      return `the operator of the API group "${group}"`;
  }
}
