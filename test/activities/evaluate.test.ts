/** The evaluate stage: the backtest's job, and the decision with its record in MLflow. */
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Dependencies } from '../../activities/dependencies.ts';
import { createEvaluateActivities } from '../../activities/evaluate.ts';
import { ERROR_TYPES } from '../../contracts/errors.ts';
import type { Comparison, EvaluateResult, TrainResult } from '../../contracts/jobs.ts';
import type { GateDecision } from '../../contracts/gate.ts';
import type { PipelineInput, ResolvedPipelineInput } from '../../contracts/pipeline.ts';
import type { RegisteredVersion } from '../../contracts/rollout.ts';
import { resolvePipelineInput } from '../../contracts/pipeline.ts';
import { backtest, featured, load, model, version } from '../workflows/fake-activities.ts';
import { activityEnvironment } from './activity-environment.ts';
import { MemoryJobs } from './memory-jobs.ts';

const RUN = 'pipeline-m-583fe520';

let home: string;
let jobs: MemoryJobs;
let otherJobs: MemoryJobs;
/** Calls of MLflow in their order: the method, then its arguments without the run. */
let recorded: [method: string, ...args: unknown[]][];
let failing: string | null;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'shelfcast-evaluate-'));
  jobs = new MemoryJobs();
  otherJobs = new MemoryJobs();
  recorded = [];
  failing = null;
});
afterEach(() => {
  rmSync(home, { recursive: true });
});

function record<T>(method: string, answer: T, known?: string) {
  return (...args: unknown[]): Promise<T> => {
    if (method === failing) return Promise.reject(new Error(`${method} failed`));
    if (known !== undefined) expect(args.shift()).toBe(known);
    recorded.push([method, ...args]);
    return Promise.resolve(answer);
  };
}

function activities() {
  const run = { runId: 'r', experimentId: 'e', artifactUri: 'mlflow-artifacts:/r', startTime: 1_000 };
  return createEvaluateActivities({
    platforms: { features: otherJobs, train: otherJobs, programs: jobs },
    artifactsUrl: pathToFileURL(home).href,
    mlflow: {
      ensureRun: record('ensureRun', run),
      logBatch: record('logBatch', undefined, run.runId),
      uploadFolder: record('uploadFolder', 1, run.artifactUri),
      uploadFile: record('uploadFile', undefined, run.artifactUri),
      endRun: record('endRun', undefined, run.runId),
    },
  } as unknown as Dependencies);
}

function inputOf(changed: PipelineInput = {}): ResolvedPipelineInput {
  const resolved = resolvePipelineInput({ modelName: 'm', dataset: 'shop', ...changed });
  if ('issues' in resolved) throw new Error(resolved.issues.join('; '));
  return resolved.input;
}

describe('backtest', () => {
  const folder = () => join(home, 'runs', RUN, 'evaluate');
  /** Runs the activity; its job leaves this file as soon as the platform is asked for it. */
  function run(
    file: string,
    content: object,
    champion: RegisteredVersion | null = null,
    trained: TrainResult = model,
  ) {
    jobs.onObserve = () => writeFile(join(folder(), file), JSON.stringify(content));
    const input = inputOf({ horizonWeeks: 4, testWeeks: 6 });
    const request = { input, load, features: featured, model: trained, champion };
    return activityEnvironment().run(activities().backtest, request);
  }

  test.each([
    ['no champion is compared with nothing', null, null],
    ['a champion of the data set is compared', version('m', 1, 'shop'), 'file:///a/model-1'],
    ['a champion of another data set is not', version('m', 1, 'other'), null],
  ])('%s', async (_, champion, championUri) => {
    expect(await run('result.json', backtest, champion)).toEqual(backtest);
    expect(JSON.parse(await readFile(join(folder(), 'spec.json'), 'utf8'))).toEqual({
      snapshot: load.snapshot,
      trainingDataUri: featured.trainingDataUri,
      oracleUri: load.oracleUri,
      horizonWeeks: 4,
      testWeeks: 6,
      candidateUri: model.modelUri,
      championUri,
    });
  });

  test('what the training made beside the model is scored, too', async () => {
    const simpleForecasts = ['file:///a/s-1', 'file:///a/s-2'].map((modelUri) => ({
      name: 'naive',
      modelUri,
      modelHash: 'cd',
      validationWmae: 3,
    }));
    const wideIntervals = { modelUri: 'file:///a/wide', modelHash: 'ef', factor: 2 };
    await run('result.json', backtest, null, { ...model, simpleForecasts, wideIntervals });
    expect(JSON.parse(await readFile(join(folder(), 'spec.json'), 'utf8'))).toMatchObject({
      simpleUris: ['file:///a/s-1', 'file:///a/s-2'],
      wideUri: 'file:///a/wide',
      leastCoverage80: 0.65,
    });
  });

  test('its job is a plain program with the folder of the run and the stage', async () => {
    await run('result.json', backtest);
    const url = pathToFileURL(folder()).href;
    expect(jobs.started).toMatchObject([{ module: 'shelfcast.evaluate', args: ['--dir', url] }]);
    expect(otherJobs.started).toEqual([]);
  });

  test("the job's own error ends the stage with its type and sentence", async () => {
    const error = { type: ERROR_TYPES.candidateFailed, message: 'the candidate forecasts NaN' };
    await expect(run('error.json', error)).rejects.toMatchObject({ ...error, nonRetryable: true });
  });

  test('the error of an incomplete result names the missing part', async () => {
    const { comparisons, ...rest } = backtest;
    expect(comparisons).toEqual([]);
    await expect(run('result.json', rest)).rejects.toMatchObject({
      type: ERROR_TYPES.jobFailed,
      message: expect.stringMatching(/cannot read .*evaluate\/result\.json.*comparisons/s) as string,
    });
  });
});

describe('decide', () => {
  const uri = (path: string) => pathToFileURL(join(home, path)).href;
  /** Decides on the backtest with a report in the folder, whose card the job wrote. */
  async function decide(
    changed: PipelineInput = {},
    comparisons: Comparison[] = [],
    others: Partial<EvaluateResult> = {},
    trained: TrainResult = model,
    champion: RegisteredVersion | null = null,
  ): Promise<GateDecision> {
    await writeFile(join(home, 'card.md'), '# Model card\n');
    const evaluated = {
      ...backtest,
      comparisons,
      reportUri: uri('.'),
      modelCardUri: uri('card.md'),
      ...others,
    };
    const request = { input: inputOf(changed), backtest: evaluated, model: trained, champion };
    return activityEnvironment().run(activities().decide, request);
  }
  const methods = () => recorded.map(([method]) => method);
  const argsOf = (method: string) => recorded.filter(([name]) => name === method).map(([, ...args]) => args);
  const tags = () => (argsOf('logBatch')[0]?.[0] as { tags: Record<string, string> }).tags;
  /** Text of an uploaded file. */
  const uploaded = (path: string) =>
    new TextDecoder().decode(argsOf('uploadFile').find(([name]) => name === path)?.[1] as Uint8Array);

  test('returns the decision after the run of this key has the numbers, the report and the card', async () => {
    const gate = await decide();
    expect(gate.verdict).toBe('pass');
    expect(gate.checks.map(({ name }) => name)).toEqual(['naive', 'seasonal_naive', 'coverage', 'slices']);
    expect(methods()).toEqual([
      'ensureRun',
      'logBatch',
      'uploadFolder',
      'uploadFile',
      'uploadFile',
      'endRun',
    ]);
    expect(argsOf('ensureRun')).toEqual([['m', RUN, RUN]]);
    expect(argsOf('uploadFolder')).toEqual([['evaluate', home]]);
    expect(JSON.parse(uploaded('evaluate/gate.json'))).toEqual(gate);
    expect(uploaded('evaluate/model-card.md')).toMatch(
      /^# Model card\n\n## Gate\n\nThe gate passes the candidate\./,
    );
    expect(argsOf('endRun')).toEqual([['FINISHED']]);
  });

  test('logs each number of the backtest, and the reason of each check', async () => {
    const gate = await decide();
    const [[batch]] = argsOf('logBatch') as [[{ metrics: object[] }]];
    const at = { timestamp: 1_000, step: 0 };
    expect(batch.metrics).toContainEqual({ key: 'test/candidate/wmae', value: 100, ...at });
    expect(batch.metrics).toContainEqual({ key: 'test/seasonal_naive/coverage80', value: 0.8, ...at });
    expect(batch.metrics).toHaveLength(3 * 9);
    expect(tags()).toEqual({
      'shelfcast.gate': 'pass',
      ...Object.fromEntries(gate.checks.map(({ name, reason }) => [`shelfcast.gate.${name}`, reason])),
    });
  });

  test('the rejection of a candidate is recorded as a decision', async () => {
    const gate = await decide({ gate: { minImprovementOverBaselines: 0.4 } });
    expect(gate.verdict).toBe('fail');
    expect(gate.checks.filter(({ passed }) => !passed).map(({ name }) => name)).toEqual(['seasonal_naive']);
    expect(tags()['shelfcast.gate']).toBe('fail');
    expect(uploaded('evaluate/model-card.md')).toContain('The gate rejects the candidate.');
    expect(argsOf('endRun')).toEqual([['FINISHED']]);
  });

  test('a simple forecast that takes the place has its own report, card and model', async () => {
    await writeFile(join(home, 'simple-card.md'), '# Simple card\n');
    const simple = { ...backtest, reportUri: uri('.'), modelCardUri: uri('simple-card.md') };
    const forecast = { name: 'naive', modelUri: uri('simple-model-1'), modelHash: 'cd', validationWmae: 3 };
    const second = { ...forecast, name: 'moving_average of 13 weeks', modelUri: uri('simple-model-2') };
    // Without any number each check fails.
    const losing = { ...simple, overall: {} };
    const gate = await decide(
      { gate: { minImprovementOverBaselines: 0.4 } },
      [],
      { simple: [losing, simple] },
      { ...model, simpleForecasts: [forecast, second] },
    );
    expect(gate).toMatchObject({
      verdict: 'pass',
      instead: 'simple',
      simpleIndex: 1,
      rejected: { verdict: 'fail' },
    });
    expect(argsOf('uploadFolder')).toEqual([
      ['evaluate', home],
      ['simple/evaluate', home],
      ['simple/model', join(home, 'simple-model-2')],
    ]);
    expect(uploaded('evaluate/model-card.md')).toContain('The gate rejects the candidate.');
    expect(uploaded('simple/evaluate/model-card.md')).toMatch(
      /^# Simple card\n\n## Gate\n\nThe gate passes the candidate\./,
    );
    expect(JSON.parse(uploaded('simple/evaluate/gate.json'))).toEqual(gate);
  });

  test('a version in use, even of another data set, is not replaced by a simple forecast that fails', async () => {
    const others = { overall: {}, simple: [{ ...backtest, overall: {} }] };
    expect(await decide({}, [], others)).toMatchObject({ verdict: 'pass', instead: 'simple' });
    const kept = await decide({}, [], others, model, version('m', 1, 'other'));
    expect(kept.verdict).toBe('fail');
    expect(kept.simple).toHaveLength(1);
  });

  test('an inconclusive comparison requires approval where the input asks for it', async () => {
    const unsure: Comparison = {
      slice: 'holiday=true',
      against: 'naive',
      difference: 0,
      lower: -0.3,
      upper: 0.3,
      rows: 100,
      series: 10,
      weeks: 6,
    };
    const gate = await decide({ gate: { onInconclusive: 'approval' } }, [unsure]);
    expect(gate.verdict).toBe('needsApproval');
    expect(gate.comparisons).toEqual([
      { ...unsure, margin: expect.any(Number) as number, outcome: 'inconclusive' },
    ]);
    expect(tags()['shelfcast.gate']).toBe('needsApproval');
    expect(uploaded('evaluate/model-card.md')).toContain('| holiday=true | naive |');
  });

  test.each(['ensureRun', 'logBatch', 'uploadFolder', 'uploadFile', 'endRun'])(
    'a record that fails in %s fails the attempt, and the run is not ended',
    async (method) => {
      failing = method;
      await expect(decide()).rejects.toThrow(`${method} failed`);
      expect(methods()).not.toContain('endRun');
    },
  );

  test('an attempt after one that failed records the same', async () => {
    failing = 'uploadFile';
    await expect(decide()).rejects.toThrow('uploadFile failed');
    failing = null;
    const before = recorded;
    recorded = [];
    await decide();
    expect(recorded.slice(0, before.length)).toEqual(before);
    expect(methods()).toContain('endRun');
  });
});
