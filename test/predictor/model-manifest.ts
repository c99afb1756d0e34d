/** Manifest of a made-up model, for tests that need no graph. */
import type { ModelManifest } from '../../contracts/model.ts';

export const manifestOf = (
  features: ModelManifest['features'],
  quantiles: ModelManifest['quantiles'] = [0.1, 0.5, 0.9],
): ModelManifest => ({
  formatVersion: 1,
  preset: 'global',
  dataset: 'd',
  feastProject: 'p',
  snapshotId: 's',
  featureSetVersion: '1',
  horizonWeeks: 12,
  quantiles,
  features,
  onnxSha256: '0'.repeat(64),
});
