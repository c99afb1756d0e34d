/** Prometheus metrics of one predictor. */
import { Counter, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface PredictorMetrics {
  readonly registry: Registry;
  /** Prediction requests by HTTP status and error code (`OK` when answered). */
  readonly requests: Counter<'status' | 'code'>;
  readonly requestSeconds: Histogram;
  readonly featureReadSeconds: Histogram;
  readonly inferenceSeconds: Histogram;
  readonly instances: Counter;
}

export function createPredictorMetrics(model: string, version: string): PredictorMetrics {
  const registry = new Registry();
  registry.setDefaultLabels({ model, version });
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const histogram = (name: string, help: string): Histogram =>
    new Histogram({ name, help, buckets: SECONDS, registers });
  return {
    registry,
    requests: new Counter({
      name: 'shelfcast_predictor_requests_total',
      help: 'Prediction requests by HTTP status and error code',
      labelNames: ['status', 'code'],
      registers,
    }),
    requestSeconds: histogram('shelfcast_predictor_request_seconds', 'Time of a prediction request'),
    featureReadSeconds: histogram('shelfcast_predictor_feature_read_seconds', 'Time to read online features'),
    inferenceSeconds: histogram('shelfcast_predictor_inference_seconds', 'Time of the graph'),
    instances: new Counter({
      name: 'shelfcast_predictor_instances_total',
      help: 'Forecasts answered',
      registers,
    }),
  };
}
