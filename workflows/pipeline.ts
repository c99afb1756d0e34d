import type { PipelineInput, PipelineResult } from '../contracts/pipeline.ts';
import { championOnDataset } from '../contracts/rollout.ts';
import { evaluate } from './evaluate.ts';
import { buildFeatures } from './features.ts';
import { ingest, resolveInput } from './ingest.ts';
import { withModelLock } from './model-lock.ts';
import { monitor } from './monitor.ts';
import { rollout } from './rollout.ts';
import { Run } from './run.ts';
import { train } from './train.ts';

/** The whole pipeline, from sales data to a deployed model and its forecasts. Each stage has a file in this folder. */
export async function forecastPipeline(rawInput?: PipelineInput): Promise<PipelineResult> {
  const run = new Run();
  return await run.execute(async () => {
    const input = await resolveInput(rawInput);
    run.setSearchAttributes({ model: input.modelName });

    return await withModelLock(input.modelName, async () => {
      const load = await run.stage('ingest', (setSummary) => ingest(setSummary, input));
      run.setSearchAttributes({ snapshot: load.snapshot.id });
      const features = await run.stage('features', (setSummary) => buildFeatures(setSummary, input, load));
      const model = await run.stage('train', (setSummary) => train(setSummary, input, load, features));
      const evaluation = await run.stage('evaluate', (setSummary) =>
        evaluate(setSummary, input, load, features, model),
      );
      const outcome = evaluation.isRejected
        ? run.skip('rollout', 'the gate decided against the candidate')
        : await run.stage('rollout', (setSummary) => rollout(setSummary, run, input, features, evaluation));
      const verdict = outcome?.verdict ?? 'rejected';
      const inUse = verdict === 'promoted' ? evaluation.candidate : evaluation.champion;
      const champion = championOnDataset(inUse, input.dataset);
      const forecasts = await run.stage('monitor', (setSummary) => {
        if (champion !== null) return monitor(setSummary, input, load, champion);
        setSummary(`no champion of the data set ${input.dataset} is deployed: nothing to record`);
        return Promise.resolve(null);
      });

      const reasons = [
        outcome === null ? null : evaluation.replacedBecause,
        outcome?.reason ?? evaluation.reason,
      ];
      run.setVerdict(verdict);
      return {
        modelName: input.modelName,
        dataset: input.dataset,
        verdict,
        reason: reasons.filter((reason) => reason !== null).join('; '),
        ingest: load,
        features,
        train: model,
        evaluate: evaluation.backtest,
        gate: evaluation.gate,
        registered: evaluation.candidate,
        rollout: outcome,
        monitor: forecasts,
        stageSeconds: run.stageSeconds(),
      };
    });
  });
}
