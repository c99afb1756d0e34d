/** Today's workflow code must take recorded runs the way that they went. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from '@temporalio/worker';
import { beforeAll, describe, expect, test } from 'vitest';
import { bundleWorkflows } from '../workflows/environment.ts';
import { SCENARIOS } from './scenarios.ts';

const root = join(import.meta.dirname, 'histories');
const releases = readdirSync(root);

interface HistoryEvent {
  activityTaskScheduledEventAttributes?: { activityType: { name: string } };
}
interface RecordedHistory {
  events: HistoryEvent[];
}

describe('recorded histories', () => {
  let bundle: Awaited<ReturnType<typeof bundleWorkflows>>;
  beforeAll(async () => {
    bundle = await bundleWorkflows();
  });
  const replay = (history: RecordedHistory) =>
    Worker.runReplayHistory({ workflowBundle: bundle, replayName: 'replay' }, history);

  test('every scenario was recorded', () => {
    const latest = releases.sort().at(-1) ?? '';
    const names = readdirSync(join(root, latest)).map((file) => file.replace('.json', ''));
    expect(names.sort()).toEqual(Object.keys(SCENARIOS).sort());
  });

  const files = releases.flatMap((release) =>
    readdirSync(join(root, release)).map((file) => `${release}/${file}`),
  );
  test.each(files)('%s replays', async (file) => {
    await replay(JSON.parse(readFileSync(join(root, file), 'utf8')) as RecordedHistory);
  });

  test('a history of another order does not replay', async () => {
    const history = JSON.parse(readFileSync(join(root, files[0] ?? ''), 'utf8')) as RecordedHistory;
    const scheduled = history.events.find(
      (event) => event.activityTaskScheduledEventAttributes !== undefined,
    );
    if (scheduled?.activityTaskScheduledEventAttributes === undefined)
      throw new Error('no activity in the history');
    scheduled.activityTaskScheduledEventAttributes.activityType.name = 'anotherActivity';
    await expect(replay(history)).rejects.toThrow(/[Nn]ondeterminism/);
  });
});
