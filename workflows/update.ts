import { proxyActivities } from '@temporalio/workflow';
import type { UpdateActivities } from '../activities/update.ts';
import type { UpdateInput, UpdateResult } from '../contracts/update.ts';
import { features } from './features.ts';
import { ingest } from './ingest.ts';
import { withModelLock } from './model-lock.ts';
import { monitor } from './monitor.ts';
import { beginRun } from './run.ts';
import { SERVICE_CALL } from './service-call.ts';

// Touches nothing outside the worker, so an attempt that takes seconds is lost.
const { resolveUpdateInput } = proxyActivities<Pick<UpdateActivities, 'resolveUpdateInput'>>({
  startToCloseTimeout: '10 seconds',
  summary: 'Checks the input',
});
const { planUpdate } = proxyActivities<Pick<UpdateActivities, 'planUpdate'>>({
  ...SERVICE_CALL,
  summary: 'Looks up the model in use',
});

/** New weeks of the data set that the model in use knows: its next forecasts, without training. */
export async function updateForecasts(rawInput: UpdateInput): Promise<UpdateResult> {
  const run = beginRun();
  return await run.toItsEnd(async () => {
    const update = await resolveUpdateInput(rawInput);
    run.describe({ model: update.modelName });
    for (const stage of ['train', 'evaluate', 'rollout'] as const)
      run.skip(stage, 'an update trains nothing');

    return await withModelLock(update.modelName, async () => {
      const { input, champion, featureSetVersion } = await planUpdate(update);
      const ingested = await run.stage('ingest', (setSummary) => {
        setSummary(`data set ${input.dataset}, that of version ${champion.version}`);
        return ingest(setSummary, input);
      });
      run.describe({ snapshot: ingested.snapshot.id });
      const featured = await run.stage('features', (setSummary) =>
        features(setSummary, input, ingested, featureSetVersion),
      );
      const monitored = await run.stage('monitor', (setSummary) =>
        monitor(setSummary, input, ingested, champion),
      );

      return {
        modelName: input.modelName,
        dataset: input.dataset,
        ingest: ingested,
        features: featured,
        monitor: monitored,
        stageSeconds: run.stageSeconds(),
      };
    });
  });
}
