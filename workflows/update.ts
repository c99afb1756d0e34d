import { proxyActivities } from '@temporalio/workflow';
import type { UpdateActivities } from '../activities/update.ts';
import type { UpdateInput, UpdateResult } from '../contracts/update.ts';
import { buildFeatures } from './features.ts';
import { ingest } from './ingest.ts';
import { withModelLock } from './model-lock.ts';
import { monitor } from './monitor.ts';
import { Run } from './run.ts';
import { INPUT_CHECK, SERVICE_CALL } from './service-call.ts';

const { resolveUpdateInput } = proxyActivities<Pick<UpdateActivities, 'resolveUpdateInput'>>(INPUT_CHECK);
const { planUpdate } = proxyActivities<Pick<UpdateActivities, 'planUpdate'>>({
  ...SERVICE_CALL,
  summary: 'Looks up the model in use',
});

/** Loads new weeks of the champion's data set and records its next forecasts; nothing is trained. */
export async function updateForecasts(rawInput: UpdateInput): Promise<UpdateResult> {
  const run = new Run();
  return await run.execute(async () => {
    const update = await resolveUpdateInput(rawInput);
    run.setSearchAttributes({ model: update.modelName });
    for (const stage of ['train', 'evaluate', 'rollout'] as const)
      run.skip(stage, 'an update trains nothing');

    return await withModelLock(update.modelName, async () => {
      const { input, champion, featureSetVersion } = await planUpdate(update);
      const load = await run.stage('ingest', (setSummary) => {
        setSummary(`data set ${input.dataset} of version ${champion.version}`);
        return ingest(setSummary, input);
      });
      run.setSearchAttributes({ snapshot: load.snapshot.id });
      const features = await run.stage('features', (setSummary) =>
        buildFeatures(setSummary, input, load, featureSetVersion),
      );
      const forecasts = await run.stage('monitor', (setSummary) =>
        monitor(setSummary, input, load, champion),
      );

      return {
        modelName: input.modelName,
        dataset: input.dataset,
        ingest: load,
        features,
        monitor: forecasts,
        stageSeconds: run.stageSeconds(),
      };
    });
  });
}
