/** Calls of MLflow's client; test/infra/mlflow.test.ts shows their effect on a real server. */
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { logSteps, uploadReport } from '../../activities/tracking.ts';
import type { GateDecision } from '../../contracts/gate.ts';

let artifacts: string;
beforeEach(() => {
  artifacts = mkdtempSync(join(tmpdir(), 'shelfcast-tracking-'));
});
afterEach(() => {
  rmSync(artifacts, { recursive: true });
});

test('steps of all epochs are one curve, and logging them again stores nothing new', async () => {
  const batches: object[] = [];
  const mlflow = {
    logBatch: (...batch: object[]) => {
      batches.push(batch);
      return Promise.resolve();
    },
  } as unknown as Parameters<typeof logSteps>[0];
  const run = { runId: 'r', experimentId: 'e', artifactUri: 'mlflow-artifacts:/r', startTime: 1_000 };
  const steps = [
    { epoch: 1, step: 40, steps: 64, loss: 900, etaSeconds: 30 },
    { epoch: 2, step: 8, steps: 64, loss: 700, etaSeconds: 20 },
  ];
  await logSteps(mlflow, run, steps);
  await logSteps(mlflow, run, steps);
  const key = 'train/loss_so_far';
  expect(batches[0]).toEqual([
    'r',
    {
      metrics: [
        { key, value: 900, timestamp: 1_040, step: 40 },
        { key, value: 700, timestamp: 1_072, step: 72 },
      ],
    },
  ]);
  expect(batches[1]).toEqual(batches[0]);
});

const gate: GateDecision = {
  verdict: 'pass',
  checks: [{ name: 'slices', passed: true, reason: 'clearly within its margin in 1 of 1 comparisons' }],
  comparisons: [],
};

/** Returns the uploaded files and folders by path. */
async function uploaded(modelCardUri: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const mlflow = {
    uploadFolder: (_uri: string, prefix: string, folder: string) => {
      found.set(prefix, folder);
      return Promise.resolve(1);
    },
    uploadFile: (_uri: string, path: string, bytes: Uint8Array) => {
      found.set(path, new TextDecoder().decode(bytes));
      return Promise.resolve();
    },
  };
  const run = { artifactUri: 'mlflow-artifacts:/r' };
  await uploadReport(mlflow, run, { reportUri: pathToFileURL(artifacts).href, modelCardUri }, gate);
  return found;
}

test("the backtest's report is uploaded with the gate's decision, which the model card has too", async () => {
  const card = join(artifacts, 'model-card.md');
  await writeFile(card, '# Model card: global\n');
  // Twice, as a repeated activity does.
  for (const found of [await uploaded(pathToFileURL(card).href), await uploaded(pathToFileURL(card).href)]) {
    expect([...found.keys()]).toEqual(['evaluate', 'evaluate/gate.json', 'evaluate/model-card.md']);
    expect(found.get('evaluate')).toBe(artifacts);
    expect(JSON.parse(found.get('evaluate/gate.json') ?? '')).toEqual(gate);
    expect(found.get('evaluate/model-card.md')).toBe(
      '# Model card: global\n\n## Gate\n\nThe gate passes the candidate.\n\n' +
        '- slices, passed: clearly within its margin in 1 of 1 comparisons\n',
    );
  }
});
