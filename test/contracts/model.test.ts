/** Rules of a model's manifest that the JSON Schema cannot express. */
import { expect, it } from 'vitest';
import { modelManifestSchema } from '../../contracts/model.ts';
import { manifestOf } from '../predictor/model-manifest.ts';

const sales = { name: 'lag_1', view: 'sales_history', column: 'lag_1' } as const;
const calendar = { name: 'week', view: 'calendar', column: 'week' } as const;

it.each([
  ['quantiles', manifestOf([sales], [0.1, 0.5, 0.95]), 'must contain 0.1, 0.5 and 0.9'],
  ['features', manifestOf([calendar]), 'must name a feature of sales_history'],
])('a manifest with incomplete %s is refused', (key, manifest, message) => {
  const { error } = modelManifestSchema.safeParse(manifest);
  expect(error?.issues).toMatchObject([{ path: [key], message: expect.stringContaining(message) as string }]);
});

it('a complete manifest is accepted', () => {
  const manifest = manifestOf([sales, calendar]);
  expect(modelManifestSchema.parse(manifest)).toEqual(manifest);
});
