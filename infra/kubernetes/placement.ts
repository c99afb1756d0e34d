/** Placement of pods: nodes, service account and image pull secrets. */
import type { KubernetesConfig } from './config.ts';

interface Placement {
  serviceAccount?: string | undefined;
  nodeSelector: Record<string, string>;
  tolerations: object[];
}

/** Fields of a pod's specification; only those that are configured. */
export function placement(
  { images }: KubernetesConfig,
  { serviceAccount, nodeSelector, tolerations }: Placement,
) {
  return {
    ...(serviceAccount === undefined ? {} : { serviceAccountName: serviceAccount }),
    ...(images.pullSecrets.length === 0
      ? {}
      : { imagePullSecrets: images.pullSecrets.map((name) => ({ name })) }),
    ...(Object.keys(nodeSelector).length === 0 ? {} : { nodeSelector }),
    ...(tolerations.length === 0 ? {} : { tolerations }),
  };
}
