/** Names and labels of the objects that serve a model version on a cluster. */
import { kubernetesName, LABELS } from '../names.ts';

/** KServe builds the host name `NAME-predictor-NAMESPACE` of at most 63 characters; this leaves 20 for the namespace. */
const MAX_LENGTH = 32;

export const MODEL_LABEL = 'shelfcast.dev/model';
export const VERSION_LABEL = 'shelfcast.dev/version';
/** Label that KServe puts on the pods of an InferenceService. */
export const SERVICE_LABEL = 'serving.kserve.io/inferenceservice';

/** Name of a version's InferenceService, and of its PodDisruptionBudget and HorizontalPodAutoscaler. */
export const versionName = (modelName: string, version: number): string =>
  kubernetesName(`${modelName}-v${version}`, MAX_LENGTH);

/** Name of the Service and the Deployment that KServe creates for an InferenceService. */
export const predictorName = (inferenceService: string): string => `${inferenceService}-predictor`;

/** Name of the model's HTTPRoute. KServe's own HTTPRoutes have the names above. */
export const routeName = (modelName: string): string => kubernetesName(`${modelName}-traffic`, MAX_LENGTH);

export const modelLabels = (modelName: string) => ({ ...LABELS, [MODEL_LABEL]: modelName });

export const versionLabels = (modelName: string, version: number) => ({
  ...modelLabels(modelName),
  [VERSION_LABEL]: String(version),
});
