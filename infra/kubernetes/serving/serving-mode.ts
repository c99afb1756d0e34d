/** What this cluster's KServe can do. What it would silently ignore is refused before anything is made. */
import { z } from 'zod';
import type { KubernetesApi } from '../api.ts';
import { KubernetesError } from '../errors.ts';
import type { ServingConfig } from './serving-config.ts';

/** KServe's words for a Deployment of its own making; those before 0.16 know only the second. */
const STANDARD_MODES = ['Standard', 'RawDeployment'];
/** Where Knative is the one that runs the pods. */
const KNATIVE_MODES = ['Knative', 'Serverless'];

/** @throws Error with a sentence when the configuration asks for what is not installed, or for what KServe has no field for */
export async function refuseIgnored(
  api: KubernetesApi,
  { mode, autoscaling }: Pick<ServingConfig, 'mode' | 'autoscaling'>,
): Promise<void> {
  if (mode === 'knative') {
    if (!(await api.has('serving.knative.dev/v1', 'Service'))) {
      throw new Error(
        'serving.mode is knative, but this cluster has no Knative Serving: KServe would never start a predictor. ' +
          'Set serving.mode to standard, or install Knative.',
      );
    }
    if (autoscaling.by === 'cpu') {
      throw new Error(
        'serving.autoscaling.by is cpu, which Knative does not scale by: set it to requests or none.',
      );
    }
    return;
  }
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

/** The word that this KServe has for the mode in which a version is a plain Deployment. */
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
    // Definitions are the whole cluster's; a worker need not have the right to read them.
    if (error instanceof KubernetesError && error.status === 403) return current;
    throw error;
  }
  const crd = crdSchema.safeParse(object);
  if (!crd.success) return current;
  const v1beta1 = crd.data.spec.versions.find(({ name }) => name === 'v1beta1');
  // `spec.canary` came with 0.20, which takes the older word too.
  return v1beta1 && !('canary' in v1beta1.schema.openAPIV3Schema.properties.spec.properties)
    ? older
    : current;
}

/** Why KServe does not run the version as configured, without a full stop; null when it does, or has not decided yet. */
export function whyWrongMode(deploymentMode: string, mode: ServingConfig['mode']): string | null {
  const right = mode === 'standard' ? STANDARD_MODES : KNATIVE_MODES;
  if (deploymentMode === '' || right.includes(deploymentMode)) return null;
  return (
    `KServe runs it in the mode ${deploymentMode} in spite of its annotation serving.kserve.io/deploymentMode: check ` +
    'serviceAnnotationDisallowedList in the ConfigMap inferenceservice-config, or set serving.mode'
  );
}
