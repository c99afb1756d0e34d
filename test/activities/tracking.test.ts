/** Which folder goes to MLflow; that it arrives there is test/infra/mlflow.test.ts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openJobFolder } from '../../activities/job-folder.ts';
import { logSteps, uploadQualityReport } from '../../activities/tracking.ts';

let artifacts: string;
beforeEach(() => {
  artifacts = mkdtempSync(join(tmpdir(), 'shelfcast-tracking-'));
});
afterEach(() => {
  rmSync(artifacts, { recursive: true });
});

test("a run's quality report is uploaded, where its load made one", async () => {
  const uploads: string[][] = [];
  const mlflow = {
    uploadFolder: (...upload: string[]) => Promise.resolve(uploads.push(upload)),
  };
  const url = pathToFileURL(artifacts).href;
  const run = { runId: 'r', experimentId: 'e', artifactUri: 'mlflow-artifacts:/r', startTime: 0 };
  const { path } = await openJobFolder(url, 'mine-0123', 'ingest', {});
  await uploadQualityReport(mlflow, run, url, 'mine-0123');
  expect(uploads).toEqual([]);
  const quality = join(path, 'quality');
  await mkdir(quality);
  await uploadQualityReport(mlflow, run, url, 'mine-0123');
  expect(uploads).toEqual([['mlflow-artifacts:/r', 'quality', quality]]);
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
