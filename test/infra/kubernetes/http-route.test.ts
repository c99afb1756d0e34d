import { expect, it } from 'vitest';
import {
  httpRoute,
  isAccepted,
  objections,
  parseRoute,
  routedVersions,
  weightsText,
} from '../../../infra/kubernetes/serving/http-route.ts';
import { configWith } from './serving-examples.ts';

const MODEL = 'sales-forecast';
const versions = [
  { version: 12, weightPercent: 0 },
  { version: 7, weightPercent: 90 },
  { version: 9, weightPercent: 10 },
];
const { serving } = configWith({ url: 'http://a.example', hostnames: ['a.example'] });

const read = (manifest: object, status: object = {}) =>
  parseRoute({
    ...manifest,
    metadata: { resourceVersion: '1', generation: 3 },
    status,
  });

it('has a rule for each pinned version, and one by weight', () => {
  expect(httpRoute(MODEL, versions, serving)).toMatchSnapshot();
});

it('routes unpinned requests nowhere while no version has weight', () => {
  const { spec } = httpRoute(MODEL, [{ version: 1, weightPercent: 0 }], serving);
  expect(spec.rules.at(-1)).toMatchObject({ backendRefs: [] });
});

it('names hosts only where they are configured', () => {
  expect(httpRoute(MODEL, versions, configWith().serving).spec).not.toHaveProperty('hostnames');
});

it('reads back the weights that it wrote', () => {
  expect(routedVersions(MODEL, read(httpRoute(MODEL, versions, serving)))).toEqual([
    { version: 7, weightPercent: 90 },
    { version: 9, weightPercent: 10 },
    { version: 12, weightPercent: 0 },
  ]);
  expect(weightsText(versions)).toBe('7=90,9=10,12=0');
});

it.each([
  ['no gateway has seen it', {}, false, 'No gateway has reported a status'],
  [
    'a gateway accepted it as it was before',
    { parents: [{ conditions: [{ type: 'Accepted', status: 'True', observedGeneration: 2 }] }] },
    false,
    'The gateway accepts the route',
  ],
  [
    'a gateway accepts it, but finds no Service',
    {
      parents: [
        {
          conditions: [
            { type: 'Accepted', status: 'True', observedGeneration: 3 },
            { type: 'ResolvedRefs', status: 'False', message: 'no service x', observedGeneration: 3 },
          ],
        },
      ],
    },
    true,
    'The gateway reports: ResolvedRefs is False (no service x).',
  ],
])('knows when %s', (_name, status, accepted, words) => {
  const route = read(httpRoute(MODEL, versions, serving), status);
  expect(isAccepted(route)).toBe(accepted);
  expect(objections(route)).toContain(words);
});
