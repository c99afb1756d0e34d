import type { PipelineInput, PipelineResult } from '../contracts/pipeline.ts';
import { evaluate } from './evaluate.ts';
import { features } from './features.ts';
import { ingest, resolveInput } from './ingest.ts';
import { withModelLock } from './model-lock.ts';
import { monitor } from './monitor.ts';
import { rollout } from './rollout.ts';
import { beginRun } from './run.ts';
import { train } from './train.ts';

/** From sales data to a model in use and its forecasts. Each stage has a file beside this one. */
export async function forecastPipeline(rawInput?: PipelineInput): Promise<PipelineResult> {
  const run = beginRun();
  return await run.toItsEnd(async () => {
    const input = await resolveInput(rawInput);
    run.describe({ model: input.modelName });

    return await withModelLock(input.modelName, async () => {
      const ingested = await run.stage('ingest', (setSummary) => ingest(setSummary, input));
      run.describe({ snapshot: ingested.snapshot.id });
      const featured = await run.stage('features', (setSummary) => features(setSummary, input, ingested));
      const trained = await run.stage('train', (setSummary) => train(setSummary, input, ingested, featured));
      const evaluated = await run.stage('evaluate', (setSummary) =>
        evaluate(setSummary, input, ingested, featured, trained),
      );
      const rolledOut = evaluated.isRejected
        ? run.skip('rollout', 'the gate decided against the candidate')
        : await run.stage('rollout', (setSummary) => rollout(setSummary, run, input, featured, evaluated));
      const verdict = rolledOut?.verdict ?? 'rejected';
      const champion = verdict === 'promoted' ? evaluated.candidate : evaluated.champion;
      const monitored = await run.stage('monitor', (setSummary) => {
        if (champion?.dataset === input.dataset) return monitor(setSummary, input, ingested, champion);
        setSummary(`no champion of the data set ${input.dataset} is deployed: nothing to record`);
        return Promise.resolve(null);
      });

      run.describe({ verdict });
      return {
        modelName: input.modelName,
        dataset: input.dataset,
        verdict,
        reason: rolledOut?.reason ?? evaluated.reason,
        ingest: ingested,
        features: featured,
        train: trained,
        evaluate: evaluated.backtest,
        gate: evaluated.gate,
        registered: evaluated.candidate,
        rollout: rolledOut,
        monitor: monitored,
        stageSeconds: run.stageSeconds(),
      };
    });
  });
}
