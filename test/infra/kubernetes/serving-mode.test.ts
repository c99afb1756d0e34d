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
  /** Fields of the InferenceService's definition; null: it may not be read. */
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
  it.each([['requests without KEDA', { autoscaling: byRequests }, [], 'this cluster has no KEDA']])(
    'is refused: %s',
    async (_name, serving, kinds, words) => {
      await expect(refuseIgnored(cluster({ kinds }), configWith(serving).serving)).rejects.toThrow(words);
    },
  );

  it.each([
    ['nothing more than KServe', {}, []],
    ['KEDA', { autoscaling: byRequests }, ['keda.sh/v1alpha1 ScaledObject']],
  ])('is not refused where there is: %s', async (_name, serving, kinds) => {
    await expect(refuseIgnored(cluster({ kinds }), configWith(serving).serving)).resolves.toBeUndefined();
  });
});

it.each([
  ['of today', ['predictor', 'canary'], 'Standard'],
  ['before 0.20', ['predictor'], 'RawDeployment'],
  ['whose definition may not be read', null, 'Standard'],
])('uses the name of the mode in a KServe %s', async (_name, fields, word) => {
  expect(await standardModeName(cluster({ fields }))).toBe(word);
});

it.each([
  ['', null],
  ['Standard', null],
  ['RawDeployment', null],
  ['Serverless', 'KServe runs it in the mode Serverless'],
] as const)('accepts only the Standard mode: "%s"', (actual, words) => {
  const why = whyWrongMode(actual);
  if (words === null) expect(why).toBeNull();
  else expect(why).toContain(words);
});
