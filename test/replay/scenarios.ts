/** Runs whose histories are kept: between them they take every path through the workflows. */
import { ApplicationFailure } from '@temporalio/client';
import { ERROR_TYPES } from '../../contracts/errors.ts';
import { abortUpdate, approveUpdate, progressQuery } from '../../workflows/messages.ts';
import { eventually } from '../predictor/processes.ts';
import type { PipelineHandle, TestRun, UpdateHandle } from '../workflows/environment.ts';
import type { FakeActivities } from '../workflows/fake-activities.ts';
import { fakeActivities, stepOutcome, untilCancelled, version } from '../workflows/fake-activities.ts';

export interface Scenario {
  fake: () => FakeActivities;
  /** Starts the run and brings it to its end. */
  run: (test: TestRun, calls: string[]) => Promise<PipelineHandle | UpdateHandle>;
}

const champion = version('any', 1);
const plain: Scenario['run'] = ({ start }) => start();
const update: Scenario['run'] = ({ startUpdate }) => startUpdate();

const whenCalled = (calls: string[], name: string): Promise<true> =>
  eventually(`the call of ${name}`, () => Promise.resolve(calls.includes(name) || undefined));

export const SCENARIOS: Record<string, Scenario> = {
  'first-model': { fake: () => fakeActivities(), run: plain },
  canary: { fake: () => fakeActivities({}, champion), run: plain },
  'gate-rejects': {
    fake: () =>
      fakeActivities({
        decide: () =>
          Promise.resolve({
            verdict: 'fail',
            checks: [{ name: 'naive', passed: false, reason: 'worse than the naive forecast' }],
            comparisons: [],
          }),
      }),
    run: plain,
  },
  'rolled-back': {
    fake: () =>
      fakeActivities(
        {
          analyzeStep: ({ weightPercent }) =>
            Promise.resolve(stepOutcome(weightPercent, weightPercent === 50 ? 'failed' : 'successful')),
        },
        champion,
      ),
    run: plain,
  },
  'inconclusive-then-passes': {
    fake: () => {
      let tries = 0;
      return fakeActivities(
        {
          analyzeStep: ({ weightPercent }) => {
            tries += 1;
            return Promise.resolve(stepOutcome(weightPercent, tries === 1 ? 'inconclusive' : 'successful'));
          },
        },
        champion,
      );
    },
    run: plain,
  },
  approved: {
    fake: () => fakeActivities({}, champion),
    async run({ start }) {
      const handle = await start({ rollout: { approval: 'required' } });
      await eventually('a run that waits for an approval', async () => {
        const { waitingFor } = await handle.query(progressQuery);
        return waitingFor === 'approval' || undefined;
      });
      await handle.executeUpdate(approveUpdate, { args: [{ by: 'Ada' }] });
      return handle;
    },
  },
  aborted: {
    fake: () => fakeActivities({ train: () => untilCancelled() }),
    async run({ start }, calls) {
      const handle = await start();
      await whenCalled(calls, 'train');
      await handle.executeUpdate(abortUpdate, { args: [{ reason: 'wrong data' }] });
      return handle;
    },
  },
  'cancelled-under-canary': {
    fake: () => fakeActivities({ analyzeStep: () => untilCancelled() }, champion),
    async run({ start }, calls) {
      const handle = await start();
      await whenCalled(calls, 'analyzeStep:10');
      await handle.cancel();
      return handle;
    },
  },
  'stage-fails': {
    fake: () =>
      fakeActivities({
        buildFeatures: () =>
          Promise.reject(ApplicationFailure.nonRetryable('3 jobs failed', ERROR_TYPES.jobFailed)),
      }),
    run: plain,
  },
  update: { fake: () => fakeActivities({}, champion), run: update },
  'update-aborted': {
    fake: () => fakeActivities({ buildFeatures: () => untilCancelled() }, champion),
    async run({ startUpdate }, calls) {
      const handle = await startUpdate();
      await whenCalled(calls, 'buildFeatures');
      await handle.executeUpdate(abortUpdate, { args: [{ reason: 'wrong file' }] });
      return handle;
    },
  },
};
