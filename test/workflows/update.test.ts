/** New weeks for the model in use: ingest, features, monitor, and nothing that trains. */
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ERROR_TYPES } from '../../contracts/errors.ts';
import { SEARCH_ATTRIBUTES } from '../../contracts/names.ts';
import { abortUpdate, approveUpdate, progressQuery } from '../../workflows/messages.ts';
import type { TestEnvironment } from './environment.ts';
import { failureOf, startTestEnvironment } from './environment.ts';
import { fakeActivities, featured, untilCancelled, version } from './fake-activities.ts';

const champion = version('any', 1);

// With a cache of 0 every workflow task replays the whole history, as after a worker's restart.
describe.each([{ maxCachedWorkflows: 100 }, { maxCachedWorkflows: 0 }])(
  'updateForecasts, $maxCachedWorkflows cached workflows',
  { timeout: 60_000 },
  (options) => {
    let environment: TestEnvironment;
    beforeAll(async () => {
      environment = await startTestEnvironment(options);
    }, 120_000);
    afterAll(() => environment.stop());

    test('loads, brings features up to date, compares and records the forecasts of the champion', async () => {
      const asked: unknown[] = [];
      const fake = fakeActivities(
        {
          buildFeatures: ({ input, featureSetVersion }) => {
            asked.push([input.dataset, input.horizonWeeks, featureSetVersion]);
            return Promise.resolve(featured);
          },
          compareWithActuals: () => Promise.resolve({ actualsCompared: 10, wape: 0.05 }),
        },
        version('any', 1, 'shop'),
      );
      const result = await environment.withWorker(fake, async ({ startUpdate }) =>
        (await startUpdate({ source: { kind: 'long', path: '/new.csv' } })).result(),
      );
      expect(result).toMatchObject({
        dataset: 'shop',
        ingest: { snapshot: { dataset: 'shop' } },
        monitor: { modelVersion: 1, forecastsRecorded: 80, actualsCompared: 10, wape: 0.05 },
      });
      expect(fake.calls).toEqual([
        'resolveUpdateInput',
        'planUpdate',
        'ingest',
        'buildFeatures',
        'compareWithActuals',
        'recordForecasts',
      ]);
      // Data set, horizon and definitions are the champion's, whatever the defaults of a pipeline are.
      expect(asked).toEqual([['shop', 4, 'f1']]);
      expect(Object.keys(result.stageSeconds)).toEqual(['ingest', 'features', 'monitor']);
    });

    test('has progress and search attributes like a pipeline, without a verdict', async () => {
      await environment.withWorker(fakeActivities({}, champion), async ({ startUpdate, modelName }) => {
        const handle = await startUpdate();
        await handle.result();
        const progress = await handle.query(progressQuery);
        expect(Object.entries(progress.stages).map(([stage, { status }]) => `${stage} ${status}`)).toEqual([
          'ingest done',
          'features done',
          'train skipped',
          'evaluate skipped',
          'rollout skipped',
          'monitor done',
        ]);
        const { typedSearchAttributes } = await handle.describe();
        const found = typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]);
        expect(Object.fromEntries(found)).toMatchObject({
          [SEARCH_ATTRIBUTES.model]: modelName,
          [SEARCH_ATTRIBUTES.snapshot]: 'generated-1-0123456789ab',
          [SEARCH_ATTRIBUTES.stage]: 'monitor',
        });
        expect(found.map(([name]) => name)).not.toContain(SEARCH_ATTRIBUTES.verdict);
      });
    });

    test('a model that is not in use, and invalid input, end the run before anything is loaded', async () => {
      const unused = fakeActivities();
      const failure = await environment.withWorker(unused, async ({ startUpdate }) =>
        failureOf((await startUpdate()).result()),
      );
      expect(failure.type).toBe(ERROR_TYPES.invalidInput);
      expect(unused.calls).toEqual(['resolveUpdateInput', 'planUpdate']);

      const wrong = fakeActivities({}, champion);
      const refusal = await environment.withWorker(wrong, async ({ startUpdate }) =>
        failureOf((await startUpdate({ horizonWeeks: 3, dataset: 'A B' } as object)).result()),
      );
      expect(refusal).toMatchObject({ type: ERROR_TYPES.invalidInput });
      expect(refusal.message).toMatch(/dataset: must be .*Unrecognized key: "horizonWeeks"/);
      expect(wrong.calls).toEqual(['resolveUpdateInput']);
    });

    test("other feature definitions end the run with the job's error message", async () => {
      const sentence = 'the model in use was trained with version f0 of the features';
      const fake = fakeActivities(
        {
          buildFeatures: () =>
            Promise.reject(ApplicationFailure.nonRetryable(sentence, ERROR_TYPES.invalidInput)),
        },
        champion,
      );
      const failure = await environment.withWorker(fake, async ({ startUpdate }) =>
        failureOf((await startUpdate()).result()),
      );
      expect(failure).toMatchObject({ type: ERROR_TYPES.invalidInput, message: sentence });
      expect(fake.calls.slice(-2)).toEqual(['buildFeatures', 'stopJob:features']);
    });

    test('holds the model against pipelines, can be aborted, and waits for no approval', async () => {
      const fake = fakeActivities({ buildFeatures: () => untilCancelled() }, champion);
      await environment.withWorker(fake, async ({ start, startUpdate }) => {
        const handle = await startUpdate();
        await vi.waitFor(() => {
          expect(fake.calls).toContain('buildFeatures');
        }, 20_000);
        expect(await failureOf((await start()).result())).toMatchObject({ type: ERROR_TYPES.modelBusy });
        await expect(handle.executeUpdate(approveUpdate, { args: [undefined] })).rejects.toThrow();
        await handle.executeUpdate(abortUpdate, { args: [{ reason: 'wrong file' }] });
        expect(await failureOf(handle.result())).toMatchObject({
          type: ERROR_TYPES.aborted,
          message: 'aborted: wrong file',
        });
      });
      expect(fake.calls.at(-1)).toBe('stopJob:features');
    });
  },
);
