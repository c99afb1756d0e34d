import type { EvaluateSpec } from '../contracts/job-specs.ts';
import type { EvaluateResult, FeaturesResult, IngestResult, TrainResult } from '../contracts/jobs.ts';
import { evaluateResultSchema } from '../contracts/jobs.ts';
import type { GateDecision } from '../contracts/gate.ts';
import type { ResolvedPipelineInput } from '../contracts/pipeline.ts';
import { keptWeeks } from './weeks.ts';
import type { RegisteredVersion } from '../contracts/rollout.ts';
import { championOnDataset } from '../contracts/rollout.ts';
import type { Dependencies } from './dependencies.ts';
import { decideGate } from './gate.ts';
import { activityJobContext, runJob } from './run-job.ts';
import { currentRunKey } from './run-key.ts';
import { openMlflowRun, recordEvaluation } from './tracking.ts';

interface EvaluateRequest {
  input: ResolvedPipelineInput;
  load: IngestResult;
  features: FeaturesResult;
  model: TrainResult;
  /** Champion of any data set; the backtest compares it only if it was trained on the candidate's. */
  champion: RegisteredVersion | null;
}

interface DecideRequest {
  input: ResolvedPipelineInput;
  /** Unit of the sales; undefined for US dollars. */
  unit?: string | undefined;
  backtest: EvaluateResult;
  /** The training's result, with the other models that the backtest scored. */
  model: TrainResult;
  /** Version in use under the model's name, whatever its data set. */
  champion: RegisteredVersion | null;
}

export interface EvaluateActivities {
  /** Scores candidate, champion and baselines on weeks that the candidate never saw. */
  backtest: (request: EvaluateRequest) => Promise<EvaluateResult>;
  /** Decides on the backtest, and logs numbers and decision to MLflow. */
  decide: (request: DecideRequest) => Promise<GateDecision>;
}

export function createEvaluateActivities(deps: Dependencies): EvaluateActivities {
  return {
    backtest: ({ input, load, features, model, champion }) => {
      const spec: EvaluateSpec = {
        snapshot: load.snapshot,
        trainingDataUri: features.trainingDataUri,
        oracleUri: load.oracleUri,
        horizonWeeks: input.horizonWeeks,
        testWeeks: keptWeeks(input, load.snapshot).testWeeks,
        candidateUri: model.modelUri,
        championUri: championOnDataset(champion, input.dataset)?.modelUri ?? null,
        simpleUris: model.simpleForecasts?.map(({ modelUri }) => modelUri),
        ...(model.wideIntervals === undefined
          ? {}
          : { wideUri: model.wideIntervals.modelUri, leastCoverage80: input.gate.coverage80[0] }),
      };
      return runJob(
        deps,
        { stage: 'evaluate', spec, resultSchema: evaluateResultSchema },
        activityJobContext(),
      );
    },

    decide: async ({ input, unit, backtest, model, champion }) => {
      const gate = decideGate(backtest, input.gate, {
        testWeeks: input.testWeeks,
        hasNoVersionInUse: champion === null,
        unit,
      });
      const run = await openMlflowRun(deps.mlflow, input.modelName, currentRunKey());
      await recordEvaluation(deps, run, backtest, gate, model);
      return gate;
    },
  };
}
