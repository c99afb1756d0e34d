/** Whole pipelines on a real cluster, from generated sales to forecasts, each with one component killed or removed on the way. */
import { setTimeout as sleep } from 'node:timers/promises';
import { truncateSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { jobName } from '../../../contracts/names.ts';
import type { PipelineResult } from '../../../contracts/pipeline.ts';
import { jobObjectName } from '../../../infra/kubernetes/jobs/job-object.ts';
import type { Run } from '../../drills/pipelines.ts';
import { DEPARTMENTS, MODEL, STORES } from '../../drills/pipelines.ts';
import { componentPid, GATEWAY_URL } from '../dev-cluster.ts';
import type { ClusterLab } from './lab.ts';
import { expectNothingTwice, expectOnlyServing, inNamespace, openClusterLab } from './lab.ts';

const PIPELINE_MS = 600_000;
/** New images are built and given to the node: a quarter of an hour on a slow disk. */
const IMAGES_MS = 1_800_000;
const API_OUTAGE_MS = 20_000;

describe('a pipeline on the cluster', { timeout: PIPELINE_MS }, () => {
  let lab: ClusterLab;
  /** The undisturbed run, which all later ones on the same data must agree with to the byte. */
  let undisturbed: PipelineResult;
  const report = new Table({
    head: ['run', 'seconds of each stage', 'starts of the training', 'left behind'],
  });

  beforeAll(async () => {
    lab = await openClusterLab();
  }, IMAGES_MS);
  afterEach(() => lab.endRuns());
  afterAll(async () => {
    process.stdout.write(`${report.toString()}\n`);
    await lab.close();
  }, 300_000);

  const ask = (instances: object[]) =>
    fetch(`${GATEWAY_URL}/v1/models/${MODEL}:predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ instances }),
    });

  function note(name: string, { stageSeconds, train }: PipelineResult): void {
    const seconds = Object.entries(stageSeconds).map(([stage, value]) => `${stage} ${value.toFixed(1)}`);
    report.push([name, seconds.join(', '), `epochs ${train.startedFromEpochs.join(', ')}`, 'nothing']);
  }

  /** Expects the same model from the same data, after any disturbance. */
  async function expectSameModelOnce(name: string, run: Run): Promise<PipelineResult> {
    const result = await run.result();
    expect(result.verdict).toBe('promoted');
    expect(result.train.modelHash).toBe(undisturbed.train.modelHash);
    await expectNothingTwice(lab, run, result);
    note(name, result);
    return result;
  }

  const trainJob = (run: Run): string => jobObjectName(jobName(run.key(), 'train', 1));
  const whenItHasEpochs = (run: Run) => run.whenJobSays('train', ({ epoch }) => (epoch?.epoch ?? 0) >= 2);

  function expectResumed({ train }: PipelineResult): void {
    const [first, second] = train.startedFromEpochs;
    expect(first).toBe(0);
    expect(second).toBeGreaterThanOrEqual(2);
    expect(train.startedFromEpochs).toHaveLength(2);
  }

  test('goes from generated sales to forecasts through the gateway', { tags: ['smoke'] }, async () => {
    const run = await lab.start('plain');
    undisturbed = await run.result();
    expect(undisturbed).toMatchObject({
      verdict: 'promoted',
      gate: { verdict: 'pass' },
      rollout: { path: 'first-model', steps: [] },
    });
    await expectNothingTwice(lab, run, undisturbed);
    note('undisturbed, first model', undisturbed);

    const sample = undisturbed.monitor?.samples[0];
    if (sample === undefined) throw new Error('no sample forecast');
    const answer = await ask([{ store: sample.store, dept: sample.dept, horizon: 1 }]);
    const { predictions, modelVersion } = (await answer.json()) as {
      predictions: { p50: number; targetWeek: string }[];
      modelVersion: string;
    };
    // A graph adds up one row and many in another order: the last bit of 32 may differ.
    expect(predictions[0]).toMatchObject({
      p50: expect.closeTo(sample.p50, 2) as number,
      targetWeek: sample.targetWeek,
    });
    expect(modelVersion).toBe(String(undisturbed.registered.version));
    expect((await ask([{ store: 999, dept: 1, horizon: 1 }])).status).toBe(404);
    expect(undisturbed.monitor?.forecastsRecorded).toBe(STORES * DEPARTMENTS * 3);
  });

  test('promotes by a canary whose weights are measured', async () => {
    const minRequestsPerStep = 100;
    const run = await lab.start('canary', { rollout: { minRequestsPerStep } });
    const result = await expectSameModelOnce('undisturbed, canary', run);
    const steps = result.rollout?.steps ?? [];
    expect(steps.map(({ weightPercent }) => weightPercent)).toEqual([10, 50, 100]);
    const table = new Table({
      head: ['weight asked for', 'requests', 'of the candidate', 'measured', 'failed'],
    });
    for (const { weightPercent, requests, failedRequests } of steps) {
      const total = Object.values(requests).reduce((sum, n) => sum + n, 0);
      const own = requests[String(result.registered.version)] ?? 0;
      const measured = (100 * own) / total;
      table.push([
        `${weightPercent} %`,
        total,
        own,
        `${measured.toFixed(2)} %`,
        JSON.stringify(failedRequests),
      ]);
      expect(own).toBeGreaterThanOrEqual(minRequestsPerStep);
      // Requests of the step that were under way when it had enough count too.
      expect(Math.abs(measured - weightPercent)).toBeLessThan(2);
      expect(failedRequests).toEqual({});
    }
    process.stdout.write(`${table.toString()}\n`);
  });

  test('resumes the training after the loss of a pod in mid-epoch', async () => {
    const run = await lab.start('pod-deleted');
    await whenItHasEpochs(run);
    const pods = await lab.pods(`shelfcast.dev/job=${trainJob(run)}`);
    const second = pods.find((name) => name.includes('-node-0-1'));
    if (second === undefined) throw new Error(`no second node among ${pods.join(', ')}`);
    await inNamespace('delete', 'pod', second, '--grace-period=0', '--force');
    expectResumed(await expectSameModelOnce('training pod deleted', run));
  });

  test('resumes the training when someone deletes its TrainJob', async () => {
    const run = await lab.start('trainjob-deleted');
    await whenItHasEpochs(run);
    await inNamespace('delete', 'trainjob', trainJob(run));
    expectResumed(await expectSameModelOnce('TrainJob deleted', run));
  });

  test('continues when the worker pod is killed', async () => {
    const run = await lab.start('worker-killed');
    await whenItHasEpochs(run);
    await inNamespace(
      ...[
        'delete',
        'pod',
        '--selector',
        'app.kubernetes.io/name=shelfcast-worker',
        '--grace-period=0',
        '--force',
      ],
    );
    const result = await expectSameModelOnce('worker killed', run);
    expect(result.train.startedFromEpochs).toEqual([0]);
  });

  test('waits for an API server that is unavailable', async () => {
    const run = await lab.start('api-server-away');
    await whenItHasEpochs(run);
    const pid = componentPid('kube-apiserver');
    process.kill(pid, 'SIGSTOP');
    try {
      await sleep(API_OUTAGE_MS);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await expectSameModelOnce('API server away for 20 s', run);
  });

  test('rolls back a version that never gets ready, and reports why', async () => {
    const before = await lab.alias('champion');
    const run = await lab.start('never-ready', { rollout: { readyWithinSeconds: 45 } });
    await run.whenStage('evaluate', 'done');
    const [mlflowRun] = await lab.mlflowRuns(run.key());
    const [version] = await lab.versions(mlflowRun?.id ?? '');
    truncateSync(fileURLToPath(modelOf(run)), 100);
    const result = await run.result();
    expect(result).toMatchObject({ verdict: 'rolled-back', registered: { version } });
    expect(result.reason).toMatch(/not ready to serve .* within 45 seconds/);
    expect(result.reason).toContain('damaged');
    expect(await lab.alias('champion')).toBe(before);
    const answer = await ask([{ store: 1, dept: 1, horizon: 1 }]);
    expect([answer.status, answer.headers.get('x-shelfcast-version')]).toEqual([200, String(before)]);
    const served = (await lab.made()).filter((name) => name.startsWith('InferenceService/'));
    expect(served).not.toContain(`InferenceService/${MODEL}-v${version}`);
    note('InferenceService never ready', result);
  });

  const modelOf = (run: Run): string =>
    `file://${lab.trial.artifactsFolder}/runs/${run.key()}/train/model/model.onnx`;

  test('cancelled in train, leaves nothing behind', async () => {
    const before = (await lab.made()).filter((name) => !name.startsWith('Pod/'));
    const run = await lab.start('cancelled');
    await whenItHasEpochs(run);
    expect(await lab.made()).toContain(`TrainJob/${trainJob(run)}`);
    await run.handle.cancel();
    await expect(run.result()).rejects.toMatchObject({ type: 'Cancelled' });
    await expect
      .poll(async () => (await lab.made()).filter((name) => !name.startsWith('Pod/')), { timeout: 60_000 })
      .toEqual(before);
    expect(await lab.pods('app.kubernetes.io/component=job')).toEqual([]);
    expect((await lab.mlflowRuns(run.key())).map(({ status }) => status)).toEqual(['KILLED']);
    report.push(['cancelled in train', '', '', 'nothing']);
  });

  test('serves only the champion and the one before it', async () => {
    const versions = await Promise.all(['champion', 'previous'].map((alias) => lab.alias(alias)));
    await expectOnlyServing(
      lab,
      versions.filter((version) => version !== null),
    );
  });
});
