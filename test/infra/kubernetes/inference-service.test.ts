import { expect, it } from 'vitest';
import {
  horizontalPodAutoscaler,
  inferenceService,
  podDisruptionBudget,
  storageUri,
} from '../../../infra/kubernetes/serving/inference-service.ts';
import type { Autoscaling } from '../../../infra/kubernetes/serving/serving-config.ts';
import { configWith, SERVED } from './serving-examples.ts';

const owner = { name: 'sales-forecast-v7', uid: '0c3f' };

it('describes the pods of a version', () => {
  expect(inferenceService(SERVED, configWith(), 'Standard')).toMatchSnapshot();
});

it('passes on where pods run and who pulls their image', () => {
  const config = configWith(
    {
      autoscaling: { by: 'none', replicas: 2 },
      nodeSelector: { pool: 'serving' },
      tolerations: [{ key: 'serving', operator: 'Exists' }],
      serviceAccount: 'models',
    },
    {
      images: { ml: 'm', predictor: 'p', pullPolicy: 'Always', pullSecrets: ['registry'] },
      podSecurityContext: { fsGroup: 1001 },
    },
  );
  expect(inferenceService(SERVED, config, 'Standard').spec.predictor).toMatchObject({
    minReplicas: 2,
    nodeSelector: { pool: 'serving' },
    tolerations: [{ key: 'serving', operator: 'Exists' }],
    serviceAccountName: 'models',
    imagePullSecrets: [{ name: 'registry' }],
    securityContext: { runAsNonRoot: true, fsGroup: 1001 },
    model: { image: 'p', imagePullPolicy: 'Always' },
  });
});

it('lets KEDA scale by requests', () => {
  const config = configWith({
    autoscaling: { by: 'requests', maxReplicas: 5, perSecond: 20, prometheus: 'http://prometheus:9090' },
  });
  const { metadata, spec } = inferenceService(SERVED, config, 'Standard');
  expect(metadata.annotations['serving.kserve.io/autoscalerClass']).toBe('keda');
  const { minReplicas, maxReplicas, autoScaling } = spec.predictor as Record<string, unknown>;
  expect({ minReplicas, maxReplicas, autoScaling }).toMatchSnapshot();
});

it('scales by CPU with its own autoscaler, which can set the scale-down delay', () => {
  const config = configWith({
    autoscaling: { by: 'cpu', maxReplicas: 3, scaleDownAfterSeconds: 30 },
  });
  expect(inferenceService(SERVED, config, 'Standard').metadata.annotations).toMatchObject({
    'serving.kserve.io/autoscalerClass': 'external',
  });
  const autoscaling = config.serving.autoscaling as Extract<Autoscaling, { by: 'cpu' }>;
  expect(horizontalPodAutoscaler(SERVED, autoscaling, owner)).toMatchSnapshot();
});

it('lets nodes be drained', () => {
  expect(podDisruptionBudget(SERVED, owner)).toMatchSnapshot();
});

it('names the model where predictors find it', () => {
  const path = 'runs/pipeline-1/train-1/model';
  expect(storageUri(SERVED, configWith())).toBe(`pvc://artifacts/${path}`);
  expect(storageUri(SERVED, configWith({ modelStorage: 's3://bucket/prefix' }))).toBe(
    `s3://bucket/prefix/${path}`,
  );
});

it.each(['file:///elsewhere/model', 'file:///artifacts', 'file:///artifacts-2/model', 's3://bucket/model'])(
  'refuses a model that is not among the artifacts: %s',
  (modelUri) => {
    expect(() => storageUri({ ...SERVED, modelUri }, configWith())).toThrow(
      `the model at ${modelUri} cannot be served`,
    );
  },
);
