import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordTrials } from '../../activities/tracking.ts';
import type { Mlflow, MlflowMetric, MlflowRun } from '../../infra/mlflow/mlflow.ts';
import { MlflowClient } from '../../infra/mlflow/client.ts';
import { MlflowError } from '../../infra/mlflow/rest.ts';
import type { MlflowServer } from './mlflow-server.ts';
import { startMlflow } from './mlflow-server.ts';

const ODD = `Verkäufe & "more": it's 100 % of #1?`;

let server: MlflowServer;
let mlflow: Mlflow;
beforeAll(async () => {
  server = await startMlflow();
  mlflow = new MlflowClient({ url: `${server.url}/` });
}, 120_000);
afterAll(() => server.stop(), 60_000);

/** Asks MLflow beside the client under test. */
async function ask<T>(path: string, body?: unknown): Promise<T> {
  const response = await fetch(`${server.url}/api/2.0/mlflow/${path}`, {
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    headers: { 'content-type': 'application/json' },
  });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}
interface KeyValue {
  key: string;
  value: string;
}
interface StoredRun {
  info: { run_id: string; run_name: string; status: string };
  data: { params?: KeyValue[]; tags?: KeyValue[] };
}
const storedRun = async ({ runId }: MlflowRun) =>
  (await ask<{ run: StoredRun }>(`runs/get?run_id=${runId}`)).run;
const runsOf = async ({ experimentId }: MlflowRun) =>
  (await ask<{ runs?: StoredRun[] }>('runs/search', { experiment_ids: [experimentId] })).runs ?? [];
const history = async ({ runId }: MlflowRun, key: string) => {
  const query = new URLSearchParams({ run_id: runId, metric_key: key, max_results: '5000' });
  return (await ask<{ metrics?: MlflowMetric[] }>(`metrics/get-history?${query.toString()}`)).metrics ?? [];
};
const recordOf = (pairs: KeyValue[] = []) => Object.fromEntries(pairs.map(({ key, value }) => [key, value]));

describe('runs', () => {
  it('a run is created once per key, and another client finds it', async () => {
    const before = Date.now();
    const run = await mlflow.ensureRun('runs', 'key-1', 'the name');
    expect(await mlflow.ensureRun('runs', 'key-1', 'the name')).toEqual(run);
    expect(await new MlflowClient(server).ensureRun('runs', 'key-1', 'the name')).toEqual(run);
    expect(run.startTime).toBeGreaterThanOrEqual(before);
    expect(run.startTime).toBeLessThanOrEqual(Date.now());
    expect(run.artifactUri).toMatch(/^mlflow-artifacts:/);

    const stored = await storedRun(run);
    expect(stored.info).toMatchObject({ run_id: run.runId, run_name: 'the name', status: 'RUNNING' });
    expect(recordOf(stored.data.tags)['shelfcast.run_key']).toBe('key-1');
    await mlflow.endRun(run.runId, 'FINISHED');
    expect((await storedRun(run)).info.status).toBe('FINISHED');
    expect(await mlflow.ensureRun('runs', 'key-1', 'the name')).toEqual(run);
  });

  it('another key or experiment has another run', async () => {
    const [a, b, c] = [
      await mlflow.ensureRun('others', 'key-1', 'n'),
      await mlflow.ensureRun('others', 'key-2', 'n'),
      await mlflow.ensureRun('others still', 'key-1', 'n'),
    ];
    expect(new Set([a.runId, b.runId, c.runId]).size).toBe(3);
    expect(b.experimentId).toBe(a.experimentId);
    expect(c.experimentId).not.toBe(a.experimentId);
  });

  it('concurrent requests with one key create one run', async () => {
    const runs = await Promise.all([1, 2, 3].map(() => mlflow.ensureRun('at once', 'key-1', 'n')));
    const [run] = runs;
    if (run === undefined) throw new Error('no run');
    expect(runs).toEqual([run, run, run]);
    expect(await runsOf(run)).toHaveLength(1);
  });

  it('several clients create one experiment', async () => {
    const clients = [1, 2, 3, 4].map(() => new MlflowClient(server));
    const ids = await Promise.all(clients.map((client) => client.ensureExperiment('made at once')));
    expect(new Set(ids).size).toBe(1);
  });

  it('a deleted run is created again', async () => {
    const deleted = await mlflow.ensureRun('deleted', 'key-1', 'n');
    await ask('runs/delete', { run_id: deleted.runId });
    const run = await mlflow.ensureRun('deleted', 'key-1', 'n');
    expect(run.runId).not.toBe(deleted.runId);
    expect((await runsOf(run)).map(({ info }) => info.run_id)).toEqual([run.runId]);
  });

  it('trials of a search are child runs, created once', async () => {
    const parent = await mlflow.ensureRun('searched', 'key-1', 'n');
    const parameters = { learningRate: 0.0005, batchSize: 512, weightDecayFactor: 1 };
    const trials = [
      { number: 1, parameters, validationLoss: 812.5 },
      { number: 2, parameters: { ...parameters, batchSize: 300 }, validationLoss: null },
    ];
    await recordTrials(mlflow, 'searched', 'key-1', parent, trials);
    await recordTrials(mlflow, 'searched', 'key-1', parent, trials);

    const children = (await runsOf(parent)).filter(({ info }) => info.run_id !== parent.runId);
    const byName = Object.fromEntries(children.map((run) => [run.info.run_name, run]));
    expect(children).toHaveLength(2);
    expect(byName['trial 1']?.info.status).toBe('FINISHED');
    expect(byName['trial 2']?.info.status).toBe('FAILED');
    expect(recordOf(byName['trial 1']?.data.params)).toEqual({
      learningRate: '0.0005',
      batchSize: '512',
      weightDecayFactor: '1',
    });
    for (const { data } of children) expect(recordOf(data.tags)['mlflow.parentRunId']).toBe(parent.runId);
    const losses = async (name: string) =>
      (await history({ ...parent, runId: byName[name]?.info.run_id ?? '' }, 'validation/loss')).map(
        ({ value }) => value,
      );
    expect([await losses('trial 1'), await losses('trial 2')]).toEqual([[812.5], []]);
    expect(await mlflow.ensureRun('searched', 'key-1', 'n')).toEqual(parent);
  });

  it('names may have odd characters', async () => {
    const run = await mlflow.ensureRun(ODD, 'key-1', ODD);
    expect(await mlflow.ensureRun(ODD, 'key-1', ODD)).toEqual(run);
    expect((await storedRun(run)).info.run_name).toBe(ODD);
    await mlflow.logBatch(run.runId, { params: { preset: ODD }, tags: { reason: ODD } });
    const { data } = await storedRun(run);
    expect(recordOf(data.params)).toEqual({ preset: ODD });
    expect(recordOf(data.tags)['reason']).toBe(ODD);
  });
});

describe('a batch', () => {
  const metricsOf = (key: string, count: number): MlflowMetric[] =>
    Array.from({ length: count }, (_, step) => ({ key, value: step / 8, timestamp: 1_000 + step, step }));

  it('may be larger than one request of MLflow, and repeated metrics are stored once', async () => {
    const run = await mlflow.ensureRun('batch', 'large', 'n');
    const many = (prefix: string, count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}${i}`, `value ${i}`]));
    const metrics = [...metricsOf('train/loss', 800), ...metricsOf('validation/loss', 700)];
    const batch = { params: many('p', 150), tags: many('t', 120), metrics };
    await mlflow.logBatch(run.runId, batch);
    await mlflow.logBatch(run.runId, batch);

    const { data } = await storedRun(run);
    expect(recordOf(data.params)).toEqual(batch.params);
    expect(recordOf(data.tags)).toMatchObject(batch.tags);
    const stored = await history(run, 'train/loss');
    expect(stored).toHaveLength(800);
    expect(stored.find(({ step }) => step === 5)?.value).toBe(0.625);
    expect(await history(run, 'validation/loss')).toHaveLength(700);
  });

  it('may be empty', async () => {
    const run = await mlflow.ensureRun('batch', 'empty', 'n');
    await mlflow.logBatch(run.runId, {});
    expect((await storedRun(run)).data.params ?? []).toEqual([]);
  });

  it('texts beyond the limit of MLflow are cut', async () => {
    const run = await mlflow.ensureRun('batch', 'long', 'n');
    await mlflow.logBatch(run.runId, {
      params: { long: 'x'.repeat(9_000) },
      tags: { long: 'y'.repeat(9_000) },
    });
    const { data } = await storedRun(run);
    expect(recordOf(data.params)).toEqual({ long: 'x'.repeat(5_000) });
    expect(recordOf(data.tags)['long']).toBe('y'.repeat(5_000));
  });

  it('a contradicting parameter is an error with status and code', async () => {
    const run = await mlflow.ensureRun('batch', 'contradicts', 'n');
    await mlflow.logBatch(run.runId, { params: { seed: '7' } });
    await expect(mlflow.logBatch(run.runId, { params: { seed: '8' } })).rejects.toMatchObject({
      name: 'MlflowError',
      status: 400,
      code: 'INVALID_PARAMETER_VALUE',
      message: expect.stringMatching(
        /^MLflow: logging to the run \w+ failed: POST \/.*log-batch answered 400:/,
      ) as string,
    });
  });
});

describe('a folder', () => {
  const files: Record<string, string> = {
    'model.json': '{}',
    'plots/loss.png': '\u0000\u0001 binary',
    'plots/deep/er/empty': '',
    // MLflow refuses # and % in paths.
    ["Verkäufe & more? it's +1.csv"]: 'store,dept\n',
    '.hidden': 'too',
  };
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'shelfcast mlflow '));
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(folder, name, '..'), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    mkdirSync(join(folder, 'no-files'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  async function artifact({ artifactUri }: MlflowRun, path: string): Promise<string> {
    const root = artifactUri.replace(/^mlflow-artifacts:\//, '');
    const target = `${root}/${path}`.split('/').map(encodeURIComponent).join('/');
    const response = await fetch(`${server.url}/api/2.0/mlflow-artifacts/artifacts/${target}`);
    if (!response.ok) throw new Error(`${path} answered ${response.status}`);
    return response.text();
  }
  const namesBelow = async ({ runId }: MlflowRun, path: string) => {
    const query = new URLSearchParams({ run_id: runId, path });
    const { files: found } = await ask<{ files?: { path: string }[] }>(`artifacts/list?${query.toString()}`);
    return (found ?? []).map((file) => file.path);
  };

  it('is uploaded with all its files unchanged, also twice', async () => {
    const run = await mlflow.ensureRun('artifacts', 'folder', 'n');
    for (let times = 0; times < 2; times++) {
      expect(await mlflow.uploadFolder(run.artifactUri, 'train', folder)).toBe(Object.keys(files).length);
    }
    for (const [name, text] of Object.entries(files)) expect(await artifact(run, `train/${name}`)).toBe(text);
    expect(await namesBelow(run, 'train/plots')).toEqual(['train/plots/deep', 'train/plots/loss.png']);
  });

  it('may have an odd path, and go to the root of the run', async () => {
    const run = await mlflow.ensureRun('artifacts', 'root', 'n');
    await mlflow.uploadFolder(run.artifactUri, '', `${folder}/plots/../`);
    expect(await artifact(run, 'model.json')).toBe('{}');
    expect(await artifact(run, 'plots/loss.png')).toBe(files['plots/loss.png']);
  });

  it('is not uploaded when the server takes no uploads', async () => {
    await expect(mlflow.uploadFolder('file:///tmp/artifacts', 'train', folder)).rejects.toThrow(
      /cannot upload train\/.* to file:\/\/\/tmp\/artifacts: start the server with --serve-artifacts/,
    );
    await expect(mlflow.uploadFolder('mlflow-artifacts:/1/x', '', join(folder, 'none'))).rejects.toThrow(
      /ENOENT/,
    );
  });
});

describe('versions', () => {
  async function register(name: string, runKey: string, tags: Record<string, string> = {}) {
    const run = await mlflow.ensureRun(name, runKey, 'n');
    return mlflow.ensureVersion({ name, runId: run.runId, source: `${run.artifactUri}/model`, tags });
  }

  it('a version is created once per run', async () => {
    const run = await mlflow.ensureRun('versions', 'key-1', 'n');
    const first = await register('versions', 'key-1', { 'shelfcast.dataset': 'generated' });
    expect(first).toEqual({ version: 1, runId: run.runId, tags: { 'shelfcast.dataset': 'generated' } });
    expect(await register('versions', 'key-1', { 'shelfcast.dataset': 'generated' })).toEqual(first);
    expect((await register('versions', 'key-2')).version).toBe(2);
    // Another model of the same run is another version.
    const other = { name: 'versions-too', runId: run.runId, source: `${run.artifactUri}/model`, tags: {} };
    expect(await mlflow.ensureVersion(other)).toMatchObject({ version: 1, runId: run.runId });
  });

  it('tagging again overwrites only the same tags', async () => {
    const { version } = await register('tags', 'key-1', { kept: 'yes' });
    await mlflow.setAlias('tags', 'candidate', version);
    await mlflow.tagVersion('tags', version, { verdict: 'promoted', reason: ODD });
    await mlflow.tagVersion('tags', version, { verdict: 'rolled-back' });
    expect((await mlflow.versionByAlias('tags', 'candidate'))?.tags).toEqual({
      kept: 'yes',
      verdict: 'rolled-back',
      reason: ODD,
    });
  });

  it('aliases are set, moved and deleted', async () => {
    const [first, second] = [await register('aliases', 'key-1'), await register('aliases', 'key-2')];
    const champion = async () => (await mlflow.versionByAlias('aliases', 'champion'))?.version ?? null;
    expect(await champion()).toBeNull();
    await mlflow.setAlias('aliases', 'champion', first.version);
    await mlflow.setAlias('aliases', 'champion', first.version);
    expect(await mlflow.versionByAlias('aliases', 'champion')).toEqual(first);
    await mlflow.setAlias('aliases', 'champion', second.version);
    await mlflow.setAlias('aliases', 'previous', first.version);
    expect(await champion()).toBe(second.version);
    await mlflow.deleteAlias('aliases', 'champion');
    await mlflow.deleteAlias('aliases', 'champion');
    expect(await champion()).toBeNull();
    expect((await mlflow.versionByAlias('aliases', 'previous'))?.version).toBe(first.version);
  });

  it('a missing model has no aliases', async () => {
    expect(await mlflow.versionByAlias('nobody', 'champion')).toBeNull();
    await mlflow.deleteAlias('nobody', 'champion');
  });

  it('a missing version is an error with status and code', async () => {
    await register('errors', 'key-1');
    const error: unknown = await mlflow.setAlias('errors', 'champion', 7).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MlflowError);
    expect(error).toMatchObject({ status: 404, code: 'RESOURCE_DOES_NOT_EXIST' });
    expect((error as Error).message).toMatch(
      /^MLflow: giving version 7 of errors the alias champion failed: POST \/.*registered-models\/alias answered 404: /,
    );
  });

  it('a version is found when its model has odd characters in its name', async () => {
    const name = 'Verkäufe & 100 % #1';
    const first = await register(name, 'key-1');
    expect(await register(name, 'key-1')).toEqual(first);
    await mlflow.setAlias(name, 'champion', first.version);
    expect(await mlflow.versionByAlias(name, 'champion')).toEqual(first);
    await mlflow.deleteAlias(name, 'champion');
    expect(await mlflow.versionByAlias(name, 'champion')).toBeNull();
  });
});
