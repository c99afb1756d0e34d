/** Names of what serves a model version on a cluster. */
import { kubernetesName, LABELS } from '../names.ts';

/** KServe makes the host name `NAME-predictor-NAMESPACE`, of 63 characters at most: this leaves 20 to the namespace. */
const MAX_LENGTH = 32;

export const MODEL_LABEL = 'shelfcast.dev/model';
export const VERSION_LABEL = 'shelfcast.dev/version';
/** KServe gives it to the pods of an InferenceService. */
export const SERVICE_LABEL = 'serving.kserve.io/inferenceservice';

/** Of the InferenceService, and of what we make beside it. */
export const versionName = (modelName: string, version: number): string =>
  kubernetesName(`${modelName}-v${version}`, MAX_LENGTH);

/** Of the InferenceService in Knative mode, which serves all versions of a model. */
export const knativeName = (modelName: string): string => kubernetesName(modelName, MAX_LENGTH);

/** Of the Service and the Deployment that KServe makes for an InferenceService. */
export const predictorName = (inferenceService: string): string => `${inferenceService}-predictor`;

/** Of the model's HTTPRoute. KServe makes HTTPRoutes with the names above. */
export const routeName = (modelName: string): string => kubernetesName(`${modelName}-traffic`, MAX_LENGTH);

export const modelLabels = (modelName: string) => ({ ...LABELS, [MODEL_LABEL]: modelName });

export const versionLabels = (modelName: string, version: number) => ({
  ...modelLabels(modelName),
  [VERSION_LABEL]: String(version),
});
