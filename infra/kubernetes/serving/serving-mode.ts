/** Checks of the cluster's KServe. A setting that KServe would silently ignore is refused before anything is created. */
import { z } from 'zod';
import type { KubernetesApi } from '../api.ts';
import { KubernetesError } from '../errors.ts';
import type { ServingConfig } from './serving-config.ts';

/** Names of KServe's mode in which a version is a plain Deployment; releases before 0.16 know only the second. */
const STANDARD_MODES = ['Standard', 'RawDeployment'];

/** @throws Error when the configuration needs an operator that is not installed */
export async function refuseIgnored(
  api: KubernetesApi,
  { autoscaling }: Pick<ServingConfig, 'autoscaling'>,
): Promise<void> {
  if (autoscaling.by === 'requests' && !(await api.has('keda.sh/v1alpha1', 'ScaledObject'))) {
    throw new Error(
      'serving.autoscaling.by is requests, but this cluster has no KEDA: nothing would scale the predictors. ' +
        'Set it to cpu or none, or install KEDA.',
    );
  }
}

const crdSchema = z.object({
  spec: z.object({
    versions: z.array(
      z.object({
        name: z.string(),
        schema: z.object({
          openAPIV3Schema: z.object({
            properties: z.object({ spec: z.object({ properties: z.record(z.string(), z.unknown()) }) }),
          }),
        }),
      }),
    ),
  }),
});

/** Returns the name of the Standard mode in the cluster's release of KServe. */
export async function standardModeName(api: KubernetesApi): Promise<string> {
  const [current = '', older = ''] = STANDARD_MODES;
  let object: unknown;
  try {
    object = await api.read({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'inferenceservices.serving.kserve.io' },
    });
  } catch (error) {
    // Definitions belong to the whole cluster; a worker need not have the right to read them.
    if (error instanceof KubernetesError && error.status === 403) return current;
    throw error;
  }
  const crd = crdSchema.safeParse(object);
  if (!crd.success) return current;
  const v1beta1 = crd.data.spec.versions.find(({ name }) => name === 'v1beta1');
  // KServe 0.20 introduced `spec.canary`; it accepts the older name too.
  return v1beta1 && !('canary' in v1beta1.schema.openAPIV3Schema.properties.spec.properties)
    ? older
    : current;
}

/** Returns why the version does not run in the Standard mode, without a full stop; null when it does, or KServe has not decided yet. */
export function whyWrongMode(deploymentMode: string): string | null {
  if (deploymentMode === '' || STANDARD_MODES.includes(deploymentMode)) return null;
  return (
    `KServe runs it in the mode ${deploymentMode} in spite of its annotation serving.kserve.io/deploymentMode: check ` +
    'serviceAnnotationDisallowedList in the ConfigMap inferenceservice-config'
  );
}
