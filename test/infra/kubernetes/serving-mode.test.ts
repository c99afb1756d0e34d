import { describe, expect, it } from 'vitest';
import type { KubernetesApi } from '../../../infra/kubernetes/api.ts';
import { KubernetesError } from '../../../infra/kubernetes/errors.ts';
import {
  refuseIgnored,
  standardModeName,
  whyWrongMode,
} from '../../../infra/kubernetes/serving/serving-mode.ts';
import { configWith } from './serving-examples.ts';

interface Cluster {
  kinds?: string[];
  /** Of the InferenceService's definition; null: none may be read. */
  fields?: string[] | null;
}

/** A cluster with these kinds, and KServe's definition with these fields. */
const cluster = ({ kinds = [], fields = null }: Cluster): KubernetesApi =>
  ({
    has: (apiVersion: string, kind: string) => Promise.resolve(kinds.includes(`${apiVersion} ${kind}`)),
    read: () =>
      fields === null
        ? Promise.reject(
            new KubernetesError({ operation: 'reading', status: 403, reason: 'Forbidden', message: 'no' }),
          )
        : Promise.resolve({ spec: { versions: [version('v1alpha1', []), version('v1beta1', fields)] } }),
  }) as unknown as KubernetesApi;

const version = (name: string, fields: string[]) => ({
  name,
  schema: {
    openAPIV3Schema: {
      properties: { spec: { properties: Object.fromEntries(fields.map((field) => [field, {}])) } },
    },
  },
});

const byRequests = { by: 'requests', maxReplicas: 3, perSecond: 10, prometheus: 'http://prometheus' };

describe('what KServe would silently ignore', () => {
  it.each([
    ['Knative mode without Knative', { mode: 'knative' }, [], 'this cluster has no Knative Serving'],
    [
      'Knative mode by processor',
      { mode: 'knative', autoscaling: { by: 'cpu', maxReplicas: 2 } },
      ['serving.knative.dev/v1 Service'],
      'which Knative does not scale by',
    ],
    ['requests without KEDA', { autoscaling: byRequests }, [], 'this cluster has no KEDA'],
  ])('is refused: %s', async (_name, serving, kinds, words) => {
    await expect(refuseIgnored(cluster({ kinds }), configWith(serving).serving)).rejects.toThrow(words);
  });

  it.each([
    ['nothing more than KServe', {}, []],
    ['KEDA', { autoscaling: byRequests }, ['keda.sh/v1alpha1 ScaledObject']],
    ['Knative', { mode: 'knative', autoscaling: byRequests }, ['serving.knative.dev/v1 Service']],
  ])('is not refused where there is: %s', async (_name, serving, kinds) => {
    await expect(refuseIgnored(cluster({ kinds }), configWith(serving).serving)).resolves.toBeUndefined();
  });
});

it.each([
  ['of today', ['predictor', 'canary'], 'Standard'],
  ['before 0.20', ['predictor'], 'RawDeployment'],
  ['whose definition may not be read', null, 'Standard'],
])('uses the word of a KServe %s', async (_name, fields, word) => {
  expect(await standardModeName(cluster({ fields }))).toBe(word);
});

it.each([
  ['', 'standard', null],
  ['Standard', 'standard', null],
  ['RawDeployment', 'standard', null],
  ['Serverless', 'knative', null],
  ['Serverless', 'standard', 'KServe runs it in the mode Serverless'],
  ['Standard', 'knative', 'KServe runs it in the mode Standard'],
] as const)('compares the mode "%s" with %s', (actual, configured, words) => {
  const why = whyWrongMode(actual, configured);
  if (words === null) expect(why).toBeNull();
  else expect(why).toContain(words);
});
