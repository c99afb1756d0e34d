/** Messages to a running pipeline: approve, abort, cancel, terminate, and a second run beside it. */
import { resolve } from 'node:path';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { WorkflowFailedError, WorkflowUpdateFailedError } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ERROR_TYPES } from '../../contracts/errors.ts';
import { modelLockWorkflowId } from '../../contracts/names.ts';
import { abortUpdate, approveUpdate, progressQuery } from '../../workflows/messages.ts';
import type { PipelineHandle, TestEnvironment } from './environment.ts';
import { failureOf, startTestEnvironment } from './environment.ts';
import type { FakeActivities } from './fake-activities.ts';
import { fakeActivities, featured, stepOutcome, untilCancelled, version } from './fake-activities.ts';

describe('messages', { timeout: 90_000 }, () => {
  let environment: TestEnvironment;
  beforeAll(async () => {
    environment = await startTestEnvironment({
      interceptors: resolve(import.meta.dirname, 'interceptors.ts'),
    });
  }, 120_000);
  afterAll(() => environment.stop());

  const statusOf = async (workflowId: string) =>
    (await environment.client.workflow.getHandle(workflowId).describe()).status.name;

  /** Milliseconds of the timers that the workflow started. */
  const timersOf = async (handle: PipelineHandle) => {
    const { events } = await handle.fetchHistory();
    return (events ?? []).flatMap(({ timerStartedEventAttributes: timer }) =>
      timer?.startToFireTimeout
        ? [
            Number(timer.startToFireTimeout.seconds ?? 0) * 1_000 +
              (timer.startToFireTimeout.nanos ?? 0) / 1e6,
          ]
        : [],
    );
  };

  const runs = (handle: PipelineHandle, stage: string) =>
    vi.waitFor(async () => {
      expect((await handle.query(progressQuery)).stage).toBe(stage);
    }, 20_000);

  test('a run waits for one approval, refuses others, and records it', async () => {
    const fake = fakeActivities({}, version('any', 1));
    await environment.withWorker(fake, async ({ start }) => {
      const handle = await start({ rollout: { approval: 'required' } });
      await vi.waitFor(async () => {
        expect((await handle.query(progressQuery)).waitingFor).toBe('approval');
      }, 20_000);
      expect(fake.calls).toContain('checkForecastParity');
      expect(fake.calls).not.toContain('setTraffic:10');
      await handle.executeUpdate(approveUpdate, { args: [{ by: 'Ada' }] });
      const result = await handle.result();
      expect(result.reason).toContain('approved by Ada');
    });
  });

  test('validators refuse an approval when the run waits for none, and an abort without a reason', async () => {
    const fake = fakeActivities({ train: () => untilCancelled() });
    await environment.withWorker(fake, async ({ start }) => {
      const handle = await start();
      await runs(handle, 'train');
      await expect(handle.executeUpdate(approveUpdate, { args: [undefined] })).rejects.toThrow(
        WorkflowUpdateFailedError,
      );
      for (const args of [[{ reason: ' ' }], [undefined as unknown as { reason: string }]] as const) {
        await expect(handle.executeUpdate(abortUpdate, { args: [...args] })).rejects.toThrow(
          WorkflowUpdateFailedError,
        );
      }
      await handle.cancel();
      await expect(handle.result()).rejects.toThrow(WorkflowFailedError);
    });
  });

  /** Aborts the run in its training, and expects it to fail with that reason. */
  const expectAbortInTrain = async (fake: FakeActivities, handle: PipelineHandle) => {
    // An activity that is cancelled before it began never begins.
    await vi.waitFor(() => {
      expect(fake.calls).toContain('train');
    }, 20_000);
    await handle.executeUpdate(abortUpdate, { args: [{ reason: 'wrong data' }] });
    expect(await failureOf(handle.result())).toMatchObject({
      type: ERROR_TYPES.aborted,
      message: 'aborted: wrong data',
    });
  };

  test('abort stops the job and fails the run with its reason', async () => {
    let ended = false;
    const statuses: string[] = [];
    const fake = fakeActivities({
      endTracking: ({ status }) => {
        statuses.push(status);
        return Promise.resolve();
      },
      train: () =>
        untilCancelled(() => {
          ended = true;
        }),
    });
    await environment.withWorker(fake, async ({ start, modelName }) => {
      await expectAbortInTrain(fake, await start());
      expect(await statusOf(modelLockWorkflowId(modelName))).toBe('COMPLETED');
    });
    expect(ended).toBe(true);
    expect(statuses).toEqual(['KILLED']);
    expect(fake.calls.slice(-2)).toEqual(['stopJob:train', 'endTracking']);
  });

  test('a second abort is refused while the first one stops the job', async () => {
    let stopped = (): void => undefined;
    const untilStopped = new Promise<void>((resolveWait) => {
      stopped = resolveWait;
    });
    const fake = fakeActivities({ train: () => untilCancelled(), stopJob: () => untilStopped });
    await environment.withWorker(fake, async ({ start }) => {
      const handle = await start();
      await runs(handle, 'train');
      await handle.executeUpdate(abortUpdate, { args: [{ reason: 'wrong data' }] });
      const again = handle.executeUpdate(abortUpdate, { args: [{ reason: 'another' }] });
      await expect(again).rejects.toMatchObject({
        cause: { message: 'this run is being aborted already: wrong data' },
      });
      stopped();
      expect((await failureOf(handle.result())).message).toBe('aborted: wrong data');
    });
  });

  test('an aborted run fails with the reason of the abort, even when its job cannot be stopped', async () => {
    const fake = fakeActivities({
      train: () => untilCancelled(() => undefined),
      stopJob: () => Promise.reject(ApplicationFailure.nonRetryable('Ray is away')),
    });
    await environment.withWorker(fake, async ({ start }) => {
      await expectAbortInTrain(fake, await start());
    });
    expect(fake.calls.slice(-2)).toEqual(['stopJob:train', 'endTracking']);
  });

  test('cancel in a stage stops its job, releases the lock and ends as cancelled', async () => {
    const fake = fakeActivities({ ingest: () => untilCancelled() });
    await environment.withWorker(fake, async ({ start, modelName }) => {
      const handle = await start();
      await vi.waitFor(() => {
        expect(fake.calls).toContain('ingest');
      }, 20_000);
      await handle.cancel();
      const error: unknown = await handle.result().catch((reason: unknown) => reason);
      expect((error as WorkflowFailedError).cause).toBeInstanceOf(CancelledFailure);
      expect(await statusOf(handle.workflowId)).toBe('CANCELLED');
      expect(await statusOf(modelLockWorkflowId(modelName))).toBe('COMPLETED');
    });
    expect(fake.calls).toEqual(['resolveInput', 'ingest', 'stopJob:ingest']);
  });

  test('cancel under canary gives the candidate weight 0 and removes it; aliases stay with the champion', async () => {
    const fake = fakeActivities({ analyzeStep: () => untilCancelled() }, version('any', 1));
    await environment.withWorker(fake, async ({ start }) => {
      const handle = await start();
      await vi.waitFor(() => {
        expect(fake.calls).toContain('analyzeStep:10');
      }, 20_000);
      await handle.cancel();
      await expect(handle.result()).rejects.toThrow(WorkflowFailedError);
      expect(await statusOf(handle.workflowId)).toBe('CANCELLED');
    });
    expect(fake.calls.slice(fake.calls.indexOf('analyzeStep:10') + 1)).toEqual([
      'setTraffic:0',
      'restoreAliases',
      'audit:rolled-back',
      'tagVerdict:rolled-back',
      'removeVersion',
    ]);
  });

  test('five inconclusive attempts of a step roll back', async () => {
    const fake = fakeActivities(
      {
        analyzeStep: ({ weightPercent }) =>
          Promise.resolve(stepOutcome(weightPercent, 'inconclusive', '3 of 40 requests')),
      },
      version('any', 1),
    );
    await environment.withWorker(fake, async ({ start }) => {
      const handle = await start();
      const result = await handle.result();
      expect(result.verdict).toBe('rolled-back');
      expect(result.reason).toContain('inconclusive in 5 attempts, at last: 3 of 40 requests');
      expect(result.rollout?.steps).toHaveLength(5);
      // A hundredth of the pauses of 2, 4, 8 and 16 seconds.
      expect(await timersOf(handle)).toEqual([20, 40, 80, 160]);
    });
  });

  test('a candidate that does not repeat its evaluated forecasts gets no traffic', async () => {
    const fake = fakeActivities(
      {
        checkForecastParity: () =>
          Promise.reject(ApplicationFailure.nonRetryable('differs by 0.2', ERROR_TYPES.candidateFailed)),
      },
      version('any', 1),
    );
    const result = await environment.withWorker(fake, async ({ start }) => (await start()).result());
    expect(result).toMatchObject({
      verdict: 'rolled-back',
      reason: 'version 2 rolled back: differs by 0.2',
    });
    expect(fake.calls).not.toContain('setTraffic:10');
  });

  test('a candidate that reads other features online than in training gets no traffic', async () => {
    const asked: unknown[] = [];
    const fake = fakeActivities(
      {
        checkTrainingServingSkew: (request) => {
          asked.push(request.skewSampleUri);
          return Promise.reject(ApplicationFailure.nonRetryable('lag_1 is 2', ERROR_TYPES.candidateFailed));
        },
      },
      version('any', 1),
    );
    const result = await environment.withWorker(fake, async ({ start }) => (await start()).result());
    expect(result).toMatchObject({ verdict: 'rolled-back', reason: 'version 2 rolled back: lag_1 is 2' });
    expect(asked).toEqual([featured.skewSampleUri]);
    expect(fake.calls).not.toContain('setTraffic:10');
  });

  test('an incomplete promotion is rolled back, and the run fails', async () => {
    const fake = fakeActivities(
      { moveAliases: () => Promise.reject(ApplicationFailure.nonRetryable('no such model', 'NotFound')) },
      version('any', 1),
    );
    const failure = await environment.withWorker(fake, async ({ start }) =>
      failureOf((await start()).result()),
    );
    expect(failure.message).toBe('no such model');
    const after = fake.calls.slice(fake.calls.indexOf('moveAliases') + 1);
    expect(after.slice(0, 2)).toEqual(['setTraffic:0', 'restoreAliases']);
  });

  test('a promotion is completed, even when the run is cancelled during it', async () => {
    let cancelled = (): void => undefined;
    const untilRunIsCancelled = new Promise<void>((resolveWait) => {
      cancelled = resolveWait;
    });
    const fake = fakeActivities({ moveAliases: () => untilRunIsCancelled }, version('any', 1));
    await environment.withWorker(fake, async ({ start }) => {
      const handle = await start();
      await vi.waitFor(() => {
        expect(fake.calls).toContain('moveAliases');
      }, 20_000);
      await handle.cancel();
      // A query is answered after the workflow has handled the cancellation that came before it.
      await handle.query(progressQuery);
      cancelled();
      await expect(handle.result()).rejects.toThrow(WorkflowFailedError);
      expect(await statusOf(handle.workflowId)).toBe('CANCELLED');
    });
    expect(fake.calls.slice(fake.calls.indexOf('moveAliases') + 1)).toEqual([
      'audit:promoted',
      'tagVerdict:promoted',
      'removeAllBut',
    ]);
  });

  test('a run ends after its lock, also when the lock is slow', async () => {
    await environment.withWorker(fakeActivities(), async ({ start, modelName }) => {
      const slow = `slow-${modelName}`;
      await (await start({ modelName: slow })).result();
      expect(await statusOf(modelLockWorkflowId(slow))).toBe('COMPLETED');
    });
  });

  test('a second run of the model fails at once as ModelBusy, under any id', async () => {
    const fake = fakeActivities({ train: () => untilCancelled() });
    await environment.withWorker(fake, async ({ start, modelName }) => {
      const first = await start();
      await runs(first, 'train');
      const failure = await failureOf((await start({}, `by-hand-${modelName}`)).result());
      expect(failure.type).toBe(ERROR_TYPES.modelBusy);
      expect(failure.message).toContain(modelLockWorkflowId(modelName));

      // A terminated run runs no code of its own, yet leaves no lock.
      await first.terminate();
      await vi.waitFor(async () => {
        expect(await statusOf(modelLockWorkflowId(modelName))).toBe('TERMINATED');
      }, 20_000);
      const next = await start({}, `after-${modelName}`);
      await runs(next, 'train');
      await next.cancel();
      await expect(next.result()).rejects.toThrow(WorkflowFailedError);
    });
  });
});
