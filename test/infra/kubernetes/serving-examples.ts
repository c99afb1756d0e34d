/** A configuration and a version, as small as they can be, for tests of serving. */
import type { KubernetesConfig } from '../../../infra/kubernetes/config.ts';
import { parseKubernetesConfig } from '../../../infra/kubernetes/config.ts';
import type { ServedVersion } from '../../../infra/platform.ts';

/** @param serving what differs from the plainest configuration */
export const configWith = (serving: object = {}, rest: object = {}): KubernetesConfig =>
  parseKubernetesConfig({
    namespace: 'forecasts',
    images: { ml: 'registry.example/ml:1', predictor: 'registry.example/predictor:1' },
    artifacts: { claim: 'artifacts' },
    serving: {
      url: 'http://models.example',
      parentRefs: [{ name: 'gateway', namespace: 'ingress' }],
      ...serving,
    },
    ...rest,
  });

export const SERVED: ServedVersion = {
  modelName: 'sales-forecast',
  version: 7,
  modelUri: 'file:///artifacts/runs/pipeline-1/train-1/model',
  modelHash: 'a'.repeat(64),
};
