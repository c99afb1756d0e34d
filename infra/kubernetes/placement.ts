/** Where pods run, as whom, and what pulls their image. */
import type { KubernetesConfig } from './config.ts';

interface Placement {
  serviceAccount?: string | undefined;
  nodeSelector: Record<string, string>;
  tolerations: object[];
}

/** The part of a pod's specification that says so; only what is configured. */
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
