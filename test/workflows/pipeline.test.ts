import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditActivities } from '../../activities/audit.ts';
import type { RegistryActivities } from '../../activities/registry.ts';
import { ERROR_TYPES } from '../../contracts/errors.ts';
import type { GateDecision } from '../../contracts/gate.ts';
import type { SimpleForecastResult } from '../../contracts/jobs.ts';
import { SEARCH_ATTRIBUTES } from '../../contracts/names.ts';
import { approveUpdate, progressQuery } from '../../workflows/messages.ts';
import { eventually } from '../predictor/processes.ts';
import type { TestEnvironment } from './environment.ts';
import { failureOf, startTestEnvironment } from './environment.ts';
import { backtest, fakeActivities, model, stepOutcome, untilCancelled, version } from './fake-activities.ts';

// With a cache of 0 every workflow task replays the whole history, as after a worker's restart.
describe.each([{ maxCachedWorkflows: 100 }, { maxCachedWorkflows: 0 }])(
  'forecastPipeline, $maxCachedWorkflows cached workflows',
  { timeout: 60_000 },
  (options) => {
    let environment: TestEnvironment;
    beforeAll(async () => {
      environment = await startTestEnvironment(options);
    }, 120_000);
    afterAll(() => environment.stop());

    test('a first model takes the short path and is promoted', async () => {
      const fake = fakeActivities();
      const result = await environment.withWorker(fake, async ({ start }) => (await start()).result());
      expect(result).toMatchObject({
        verdict: 'promoted',
        dataset: 'generated',
        rollout: { path: 'first-model', version: 2, previousVersion: null, steps: [] },
        monitor: { modelVersion: 2, forecastsRecorded: 80 },
      });
      expect(result.reason).toContain('first model of the data set generated');
      expect(Object.keys(result.stageSeconds)).toEqual([
        'ingest',
        'features',
        'train',
        'evaluate',
        'rollout',
        'monitor',
      ]);
      expect(fake.calls.filter((call) => call.startsWith('setTraffic'))).toEqual(['setTraffic:100']);
    });

    test('a champion of another data set gives way at once, and stays deployed for a way back', async () => {
      let kept: readonly number[] = [];
      const { result } = await runWithChampion(
        environment,
        {
          removeAllBut: ({ keep }) => {
            kept = keep;
            return Promise.resolve();
          },
        },
        'other',
      );
      expect(result.rollout).toMatchObject({ path: 'first-model', previousVersion: 1, steps: [] });
      expect(result.monitor?.modelVersion).toBe(2);
      expect(kept).toEqual([2, 1]);
    });

    test('a champion of another data set records no forecasts of this one when the gate rejects', async () => {
      const { fake, result } = await runWithChampion(environment, { decide: rejects }, 'other');
      expect(result).toMatchObject({ verdict: 'rejected', monitor: null });
      expect(fake.calls).not.toContain('recordForecasts');
    });

    test('a later model gets 10, 50 and 100 %, each after an analysis, then the alias', async () => {
      const { fake, result } = await runWithChampion(environment);
      expect(result).toMatchObject({
        verdict: 'promoted',
        rollout: {
          path: 'canary',
          previousVersion: 1,
          steps: [10, 50, 100].map((w) => ({ weightPercent: w })),
        },
      });
      expect(fromDeploy(fake.calls)).toEqual([
        'deploy',
        'checkForecastParity',
        'checkTrainingServingSkew',
        ...[10, 50, 100].flatMap((w) => [`setTraffic:${w}`, `analyzeStep:${w}`, `audit:traffic-${w}`]),
        'setTraffic:100',
        'moveAliases',
        'audit:promoted',
        'tagVerdict:promoted',
        'removeAllBut',
        'compareWithActuals',
        'recordForecasts',
      ]);
    });

    test('a failing canary loses its traffic before any other step of the rollback', async () => {
      const audited: Parameters<AuditActivities['audit']>[0][] = [];
      const { fake, result } = await runWithChampion(environment, {
        audit: (row) => {
          audited.push(row);
          return Promise.resolve();
        },
        analyzeStep: ({ weightPercent }) =>
          Promise.resolve(
            stepOutcome(
              weightPercent,
              weightPercent === 50 ? 'failed' : 'successful',
              'WAPE 20 % against 10 %',
            ),
          ),
      });
      expect(result.verdict).toBe('rolled-back');
      expect(result.reason).toContain('at 50 %: WAPE 20 % against 10 %');
      // The model in use is the champion of before.
      expect(result.monitor?.modelVersion).toBe(1);
      const calls = fromDeploy(fake.calls);
      expect(calls.slice(calls.indexOf('analyzeStep:50') + 1)).toEqual([
        'setTraffic:0',
        'restoreAliases',
        'audit:rolled-back',
        'tagVerdict:rolled-back',
        'removeVersion',
        'compareWithActuals',
        'recordForecasts',
      ]);
      expect(audited.at(-1)).toMatchObject({ action: 'rolled-back', analysis: { weightPercent: 50 } });
    });

    test('a failed upload ends the backtest beside it before the stage ends', async () => {
      let hasEnded = false;
      const fake = fakeActivities({
        backtest: () =>
          untilCancelled(() => {
            hasEnded = true;
          }),
        recordTraining: async () => {
          await eventually('the backtest', () =>
            Promise.resolve(fake.calls.includes('backtest') || undefined),
          );
          throw ApplicationFailure.nonRetryable('MLflow has no space', ERROR_TYPES.jobFailed);
        },
      });
      const failure = await environment.withWorker(fake, async ({ start }) =>
        failureOf((await start()).result()),
      );
      expect(failure.message).toBe('MLflow has no space');
      expect(hasEnded).toBe(true);
      expect(fake.calls.slice(-2)).toEqual(['stopJob:evaluate', 'endTracking']);
    });

    test('an inconclusive step is repeated and may pass', async () => {
      let tries = 0;
      const { fake, result } = await runWithChampion(environment, {
        analyzeStep: ({ weightPercent }) =>
          Promise.resolve(
            stepOutcome(weightPercent, weightPercent === 10 && tries++ === 0 ? 'inconclusive' : 'successful'),
          ),
      });
      expect(result.verdict).toBe('promoted');
      expect(fake.calls.filter((call) => call === 'analyzeStep:10')).toHaveLength(2);
      expect(fake.calls.filter((call) => call === 'setTraffic:10')).toHaveLength(1);
    });

    test('the gate rejects: no traffic, the champion is monitored', async () => {
      const { fake, result } = await runWithChampion(environment, {
        decide: async ({ champion }) => {
          expect(champion).toMatchObject({ version: 1 });
          const rejected = await rejects();
          return { ...rejected, simple: [rejected, rejected] };
        },
      });
      expect(result).toMatchObject({ verdict: 'rejected', rollout: null, monitor: { modelVersion: 1 } });
      expect(result.reason).toBe(
        'the gate rejects version 2: is worse; none of the 2 simple forecasts passes, either, so version 1 of the data set generated stays in use',
      );
      expect(fake.calls).toContain('tagVerdict:rejected');
      expect(fake.calls).not.toContain('deploy');
    });

    test('a simple forecast in the place of the network is registered, promoted and told in the reason', async () => {
      const registered: Parameters<RegistryActivities['register']>[0][] = [];
      const simple = { ...backtest, analysisRowsUri: 'file:///a/simple/analysis-rows.jsonl' };
      const fake = fakeActivities({
        train: () => Promise.resolve({ ...model, simpleForecasts }),
        backtest: () => Promise.resolve({ ...backtest, simple: [backtest, simple] }),
        decide: async (request) => {
          expect(request.model.simpleForecasts).toEqual(simpleForecasts);
          const rejected = await rejects();
          return {
            verdict: 'pass',
            checks: [{ name: 'naive', passed: true, reason: 'good' }],
            comparisons: [],
            instead: 'simple',
            simpleIndex: 1,
            rejected,
          };
        },
        register: (request) => {
          registered.push(request);
          return Promise.resolve(version(request.input.modelName, 2, request.input.dataset));
        },
        checkForecastParity: ({ analysisRowsUri }) => {
          expect(analysisRowsUri).toBe(simple.analysisRowsUri);
          return Promise.resolve('the same');
        },
      });
      const result = await environment.withWorker(fake, async ({ start }) => (await start()).result());
      expect(registered).toMatchObject([{ model: simpleForecasts[1], instead: 'simple' }]);
      expect(result).toMatchObject({ verdict: 'promoted', evaluate: simple, monitor: { modelVersion: 2 } });
      expect(result.reason).toMatch(
        /^the gate rejects the preset global \(is worse\), so the simple forecast naive, number 2 of 2 on the validation weeks and the first that passes, takes its place; version 2 promoted; /,
      );
    });

    test('a decision that the gate leaves to a person waits for approval before any traffic', async () => {
      const fake = fakeActivities({
        decide: () =>
          Promise.resolve({
            verdict: 'needsApproval',
            checks: [{ name: 'slices', passed: true, reason: 'inconclusive' }],
            comparisons: [],
          }),
      });
      const result = await environment.withWorker(fake, async ({ start }) => {
        const handle = await start();
        await eventually('a run that waits for an approval', async () => {
          const { waitingFor, stages } = await handle.query(progressQuery);
          if (waitingFor !== 'approval') return undefined;
          expect(stages.evaluate.summary).toBe(
            'the gate requires a person to approve version 2: inconclusive',
          );
          return true;
        });
        expect(fake.calls.some((call) => call.startsWith('setTraffic'))).toBe(false);
        await handle.executeUpdate(approveUpdate, { args: [{ by: 'Ada' }] });
        return handle.result();
      });
      expect(result.verdict).toBe('promoted');
      expect(result.reason).toContain('approved by Ada');
    });

    test('no input at all and {} both work', async () => {
      const fake = fakeActivities();
      const result = await environment.withWorker(fake, async ({ start }) => (await start(null)).result());
      expect(result.modelName).toBe('sales-forecast');
      await environment.withWorker(fake, async ({ start }) => {
        const second = await (await start({})).result();
        expect(second.verdict).toBe('promoted');
      });
    });

    test('invalid input fails at once, with a sentence for each value', async () => {
      const fake = fakeActivities();
      await environment.withWorker(fake, async ({ start }) => {
        const failure = await failureOf(
          (await start({ horizonWeeks: 0, train: { maxEpochs: 'many' as unknown as number } })).result(),
        );
        expect(failure.type).toBe(ERROR_TYPES.invalidInput);
        expect(failure.message).toContain('horizonWeeks: ');
        expect(failure.message).toContain('train.maxEpochs: ');
        expect(failure.message.split('\n')).toHaveLength(1);
      });
      expect(fake.calls).toEqual(['resolveInput']);
    });

    test("a failed stage ends its job and the run, with the job's error message", async () => {
      const fake = fakeActivities({
        ingest: () =>
          Promise.reject(ApplicationFailure.nonRetryable('12 % of the rows are bad', ERROR_TYPES.badData)),
      });
      const failure = await environment.withWorker(fake, async ({ start }) =>
        failureOf((await start()).result()),
      );
      expect(failure).toMatchObject({ type: ERROR_TYPES.badData, message: '12 % of the rows are bad' });
      expect(fake.calls).toEqual(['resolveInput', 'ingest', 'stopJob:ingest']);
    });

    test('search attributes and details show the stage of the run', async () => {
      await environment.withWorker(fakeActivities(), async ({ start, modelName }) => {
        const handle = await start();
        await handle.result();
        const { typedSearchAttributes } = await handle.describe();
        const found = typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]);
        expect(Object.fromEntries(found)).toMatchObject({
          [SEARCH_ATTRIBUTES.model]: modelName,
          [SEARCH_ATTRIBUTES.snapshot]: 'generated-1-0123456789ab',
          [SEARCH_ATTRIBUTES.stage]: 'monitor',
          [SEARCH_ATTRIBUTES.verdict]: 'promoted',
        });
        const progress = await handle.query(progressQuery);
        expect(Object.values(progress.stages).map(({ status }) => status)).toEqual(Array(6).fill('done'));
      });
    });
  },
);

const simpleForecasts: SimpleForecastResult[] = [
  { name: 'seasonal_naive', modelUri: 'file:///a/simple-model-1', modelHash: 'cd', validationWmae: 2 },
  { name: 'naive', modelUri: 'file:///a/simple-model-2', modelHash: 'ef', validationWmae: 3 },
];

const rejects = (): Promise<GateDecision> =>
  Promise.resolve({
    verdict: 'fail',
    checks: [
      { name: 'naive', passed: true, reason: 'is fine' },
      { name: 'champion', passed: false, reason: 'is worse' },
    ],
    comparisons: [],
  });

async function runWithChampion(
  environment: TestEnvironment,
  overrides: Parameters<typeof fakeActivities>[0] = {},
  dataset?: string,
) {
  const fake = fakeActivities(overrides, version('any', 1, dataset));
  const result = await environment.withWorker(fake, async ({ start }) => (await start()).result());
  return { fake, result };
}

const fromDeploy = (calls: string[]): string[] => calls.slice(calls.indexOf('deploy'));
