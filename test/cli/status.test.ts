/** Lines of `status` about the current run. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { printRun } from '../../cli/services.ts';
import type { Shelfcast } from '../../client/client.ts';
import type { PipelineProgress } from '../../contracts/progress.ts';

let output: string;
beforeEach(() => {
  output = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += text.toString();
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Prints the status of a model while only `running` has a run in progress. */
async function statusOf(
  model: string,
  running: string,
  progress: Pick<PipelineProgress, 'stage' | 'waitingFor'>,
) {
  const run = { workflowId: `pipeline:${running}`, progress: () => Promise.resolve(progress) };
  const currentRun = (asked: string) => Promise.resolve(asked === running ? run : null);
  await printRun({ currentRun } as unknown as Shelfcast, model);
  return output.split('\n').slice(0, -1);
}

test('a run that waits for approval shows the commands to approve or abort it', async () => {
  expect(
    await statusOf('sales-forecast', 'sales-forecast', { stage: 'rollout', waitingFor: 'approval' }),
  ).toEqual([
    'the run pipeline:sales-forecast is in stage rollout',
    'waiting for approval: `npx shelfcast approve`, or `npx shelfcast abort --reason "..."`',
  ]);
});

test('the commands name a model other than the default', async () => {
  expect(await statusOf('bread', 'bread', { stage: 'rollout', waitingFor: 'approval' })).toEqual([
    'the run pipeline:bread is in stage rollout',
    'waiting for approval: `npx shelfcast approve --model bread`, ' +
      'or `npx shelfcast abort --model bread --reason "..."`',
  ]);
});

test('other runs have only their stage; a starting run has none', async () => {
  expect(await statusOf('bread', 'bread', { stage: 'train', waitingFor: null })).toEqual([
    'the run pipeline:bread is in stage train',
  ]);
  output = '';
  expect(await statusOf('bread', 'bread', { stage: null, waitingFor: null })).toEqual([
    'the run pipeline:bread is starting',
  ]);
});

test('a run of another model is not shown', async () => {
  expect(await statusOf('bread', 'sales-forecast', { stage: 'rollout', waitingFor: 'approval' })).toEqual([]);
});
