/** The API that programs use, the CLI included. */
import { EventEmitter, once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ERROR_TYPES } from '../../contracts/errors.ts';
import type { Shelfcast } from '../../client/client.ts';
import { connect } from '../../client/client.ts';
import type { updateForecasts } from '../../workflows/index.ts';
import type { TestEnvironment, TestRun } from '../workflows/environment.ts';
import { startTestEnvironment } from '../workflows/environment.ts';
import type { FakeActivities } from '../workflows/fake-activities.ts';
import { fakeActivities, featured, untilCancelled, version } from '../workflows/fake-activities.ts';

describe('client', { timeout: 60_000 }, () => {
  let environment: TestEnvironment;
  beforeAll(async () => {
    environment = await startTestEnvironment();
  }, 120_000);
  afterAll(() => environment.stop());

  const withClient = (fake: FakeActivities, work: (shelfcast: Shelfcast, run: TestRun) => Promise<void>) =>
    environment.withWorker(fake, async (run) => {
      const shelfcast = await connect({
        address: environment.address,
        namespace: 'default',
        taskQueue: run.taskQueue,
      });
      try {
        await work(shelfcast, run);
      } finally {
        await shelfcast.close();
      }
    });

  test('starts a run, follows it, returns its result', async () => {
    await withClient(fakeActivities(), async (shelfcast, { modelName }) => {
      const run = await shelfcast.startPipeline({ modelName });
      expect((await run.result()).verdict).toBe('promoted');
      expect((await shelfcast.pipelineRun(run.workflowId).progress()).verdict).toBe('promoted');
      expect(await shelfcast.currentRun(modelName)).toBeNull();
    });
  });

  test('a second start is refused because the model is busy; the current run is found under any id', async () => {
    const fake = fakeActivities({ train: () => untilCancelled() });
    await withClient(fake, async (shelfcast, { modelName }) => {
      const run = await shelfcast.startPipeline({ modelName }, { workflowId: `mine-${modelName}` });
      await vi.waitFor(async () => {
        expect((await run.pendingWork()).map(({ activity }) => activity)).toEqual(['train']);
      }, 20_000);
      await expect(
        shelfcast.startPipeline({ modelName }, { workflowId: `mine-${modelName}` }),
      ).rejects.toMatchObject({ type: ERROR_TYPES.modelBusy });
      expect((await shelfcast.currentRun(modelName))?.workflowId).toBe(run.workflowId);

      await expect(run.approve()).rejects.toMatchObject({ type: 'Refused' });
      await run.abort('enough');
      await expect(run.result()).rejects.toMatchObject({
        type: ERROR_TYPES.aborted,
        message: 'aborted: enough',
      });
    });
  });

  test('starts an update, follows it, returns its result; it is found as the current run', async () => {
    const released = new EventEmitter();
    const fake = fakeActivities(
      { buildFeatures: () => once(released, 'now').then(() => featured) },
      version('any', 1),
    );
    await withClient(fake, async (shelfcast, { modelName }) => {
      const input = { modelName, source: { kind: 'generated' } } as const;
      const run = await shelfcast.startUpdate(input);
      await vi.waitFor(async () => {
        expect((await shelfcast.currentRun(modelName))?.workflowId).toBe(`update:${modelName}`);
        expect((await run.pendingWork()).map(({ activity }) => activity)).toEqual(['buildFeatures']);
      }, 20_000);
      expect((await run.describe()).input).toEqual(input);
      await expect(shelfcast.startUpdate(input)).rejects.toMatchObject({
        type: ERROR_TYPES.modelBusy,
        message: expect.stringContaining(`update:${modelName} is running already`) as unknown,
      });
      await expect((await shelfcast.startPipeline({ modelName })).result()).rejects.toMatchObject({
        type: ERROR_TYPES.modelBusy,
      });
      released.emit('now');
      expect((await run.result()).monitor).toMatchObject({ modelVersion: 1, forecastsRecorded: 80 });
      expect((await run.progress()).verdict).toBeNull();
    });
  });

  test('approves and cancels', async () => {
    await withClient(fakeActivities({}, version('any', 1)), async (shelfcast, { modelName }) => {
      const run = await shelfcast.startPipeline({ modelName, rollout: { approval: 'required' } });
      await vi.waitFor(async () => {
        expect(await run.approve('Grace')).toBe('approved by Grace');
      }, 20_000);
      await run.result();
    });
    await withClient(fakeActivities({ train: () => untilCancelled() }), async (shelfcast, { modelName }) => {
      const run = await shelfcast.startPipeline({ modelName });
      await run.cancel();
      await expect(run.result()).rejects.toMatchObject({ type: 'Cancelled' });
    });
  });

  test('a missing run and an unavailable server have their error types', async () => {
    await withClient(fakeActivities(), async (shelfcast) => {
      await expect(shelfcast.pipelineRun('nothing').progress()).rejects.toMatchObject({ type: 'NotFound' });
    });
    await expect(
      connect({ address: '127.0.0.1:1', namespace: 'default', taskQueue: 'none' }),
    ).rejects.toMatchObject({ type: ERROR_TYPES.serviceUnavailable });
  });

  test('a schedule is made, changed, run, paused and deleted', async () => {
    await withClient(fakeActivities({}, version('any', 1)), async (shelfcast, { modelName }) => {
      const { schedules } = shelfcast;
      const made = await schedules.create({ modelName }, '0 5 * * 1');
      expect(made).toMatchObject({ id: `schedule:${modelName}`, paused: false });
      expect(made.nextRuns).toHaveLength(3);
      const description = await environment.client.schedule.getHandle(made.id).describe();
      expect(description.policies).toMatchObject({ overlap: 'SKIP', catchupWindow: 24 * 3_600 * 1_000 });

      await schedules.trigger(modelName);
      await vi.waitFor(async () => {
        expect((await schedules.show(modelName)).recentRuns).toHaveLength(1);
      }, 20_000);
      const [recent] = (await schedules.show(modelName)).recentRuns;
      expect((await shelfcast.pipelineRun(recent?.workflowId ?? '').result()).verdict).toBe('promoted');

      await schedules.pause(modelName);
      expect((await schedules.create({ modelName }, '0 7 * * 2')).paused).toBe(true);
      const acknowledge = '0123456789ab';
      await expect(schedules.create({ modelName, acknowledge })).rejects.toThrow('of one load');
      const source = { kind: 'generated' } as const;
      await expect(schedules.createUpdate({ modelName, acknowledge, source })).rejects.toMatchObject({
        type: 'InvalidInput',
      });
      await expect(schedules.create({ modelName: `${modelName}-x` }, 'whenever')).rejects.toMatchObject({
        type: ERROR_TYPES.invalidInput,
      });
      await schedules.resume(modelName);
      const update = await schedules.createUpdate({ modelName, source: { kind: 'generated' } });
      expect([made.runs, update.runs]).toEqual(['forecastPipeline', 'updateForecasts']);
      await schedules.trigger(modelName);
      await vi.waitFor(async () => {
        expect((await schedules.show(modelName)).recentRuns).toHaveLength(2);
      }, 20_000);
      const updated = (await schedules.show(modelName)).recentRuns[1]?.workflowId ?? '';
      expect(updated).toMatch(new RegExp(`^update:${modelName}-`));
      const handle = environment.client.workflow.getHandle<typeof updateForecasts>(updated);
      expect((await handle.result()).monitor.modelVersion).toBe(1);

      await schedules.delete(modelName);
      await expect(schedules.show(modelName)).rejects.toMatchObject({ type: 'NotFound' });
    });
  });
});
