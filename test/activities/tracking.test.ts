/** Which folder goes to MLflow; that it arrives there is test/infra/mlflow.test.ts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openJobFolder } from '../../activities/job-folder.ts';
import { uploadQualityReport } from '../../activities/tracking.ts';

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
