import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canAnswer } from '../../activities/analysis.ts';
import { readAnalysisRows, readManifest } from '../../activities/job-outputs.ts';
import { parityDifference } from '../../activities/parity.ts';
import type { ModelManifest } from '../../contracts/model.ts';
import { CANDIDATE_FACTOR, analysisRows, forecastsBy, manifest } from './analysis-rows.ts';

const model: ModelManifest = {
  formatVersion: 1,
  preset: 'global',
  dataset: 'generated',
  feastProject: 'shelfcast_generated',
  snapshotId: 'generated-1-0123456789ab',
  featureSetVersion: 'f1',
  horizonWeeks: 4,
  quantiles: manifest.quantiles,
  features: [
    { name: 'sales_0', view: 'sales_history', column: 'sales_0' },
    { name: 'temperature', view: 'store_externals', column: 'temperature' },
  ],
  onnxSha256: 'a'.repeat(64),
};

describe('files', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shelfcast analysis '));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const analysisFile = async (text: string): Promise<string> => {
    const path = join(folder, 'analysis-rows.jsonl');
    await writeFile(path, text);
    return pathToFileURL(path).href;
  };

  test('analysis is read row by row, in order', async () => {
    const rows = analysisRows(3);
    const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    expect(await readAnalysisRows(await analysisFile(text))).toEqual(rows);
    expect(await readAnalysisRows(await analysisFile(''))).toEqual([]);
  });

  test.each([
    ['torn', (line: string) => line.slice(0, -10)],
    ['without its actual', (line: string) => line.replace('"actual"', '"sold"')],
    ['with a feature that is no number', (line: string) => line.replace('"sales_0":100', '"sales_0":"100"')],
  ])('analysis with a line %s is an error', async (_name, spoil) => {
    const line = JSON.stringify(analysisRows(1)[0]);
    expect(spoil(line)).not.toBe(line);
    const uri = await analysisFile(`${line}\n${spoil(line)}\n`);
    await expect(readAnalysisRows(uri)).rejects.toThrow();
  });

  test('the manifest is in the folder of the model; another format is an error', async () => {
    const uri = pathToFileURL(folder).href;
    await writeFile(join(folder, 'model.json'), JSON.stringify(model));
    expect(await readManifest(uri)).toEqual(model);
    await writeFile(join(folder, 'model.json'), JSON.stringify({ ...model, formatVersion: 2 }));
    await expect(readManifest(uri)).rejects.toThrow(/formatVersion/);
    await expect(readManifest(`${uri}/nowhere`)).rejects.toThrow(/ENOENT.*model\.json/);
  });
});

test('a model can answer rows within its horizon that have all its features', () => {
  const rows = analysisRows(8);
  expect(Math.max(...rows.map(({ horizon }) => horizon))).toBe(model.horizonWeeks);
  expect(canAnswer(model, rows)).toBe(true);
  expect(canAnswer({ ...model, horizonWeeks: 3 }, rows)).toBe(false);
  const more = [
    ...model.features,
    { name: 'rainfall', view: 'store_externals', column: 'rainfall' } as const,
  ];
  expect(canAnswer({ ...model, features: more }, rows)).toBe(false);
  // A value that is missing is known to be missing; a name that every object has is no feature.
  expect(rows[0]?.features['temperature']).toBeNull();
  const inherited = { name: 'toString', view: 'calendar', column: 'toString' } as const;
  expect(canAnswer({ ...model, features: [inherited] }, rows)).toBe(false);
});

describe('parity', () => {
  const rows = analysisRows(3);
  const predictions = forecastsBy(CANDIDATE_FACTOR)(rows);
  const changed = (i: number, change: Partial<(typeof predictions)[number]>) =>
    predictions.map((prediction, at) => (at === i ? { ...prediction, ...change } : prediction));
  const difference = (answered: typeof predictions) => parityDifference(manifest, rows, answered);

  test('equal answers differ by nothing, and no rows differ by nothing', () => {
    expect(difference(predictions)).toBe(0);
    expect(parityDifference(manifest, [], [])).toBe(0);
  });

  test.each(['p10', 'p50', 'p90'] as const)('the largest difference counts, also of %s', (quantile) => {
    const expected = predictions[1]?.[quantile] ?? NaN;
    expect(difference(changed(1, { [quantile]: expected * 1.02 }))).toBeCloseTo(0.02);
    expect(difference(changed(1, { [quantile]: expected * 0.98 }))).toBeCloseTo(0.02);
  });

  test('below one dollar the difference is in dollars; a negative forecast has a size too', () => {
    const at = (expected: number, answered: number) =>
      parityDifference(
        manifest,
        rows.slice(0, 1).map((row) => ({ ...row, expected: [0, expected, expected, expected] })),
        changed(0, { p10: answered, p50: answered, p90: answered }),
      );
    expect(at(0.001, 0.002)).toBeCloseTo(0.001);
    expect(at(0, 0)).toBe(0);
    expect(at(-50, -55)).toBeCloseTo(0.1);
  });

  test('a missing value is an infinite difference', () => {
    expect(difference(changed(2, { p90: NaN }))).toBe(Infinity);
    expect(difference(predictions.slice(0, 2))).toBe(Infinity);
    expect(parityDifference({ quantiles: [0.1, 0.5] }, rows, predictions)).toBe(Infinity);
    const short = rows.map((row) => ({ ...row, expected: row.expected.slice(0, 3) }));
    expect(parityDifference(manifest, short, predictions)).toBe(Infinity);
  });
});
