import { ApplicationFailure } from '@temporalio/activity';
import { ERROR_TYPES } from '../contracts/errors.ts';
import { resolvePipelineInput } from '../contracts/pipeline.ts';
import type { ResolvedUpdateInput, UpdatePlan } from '../contracts/update.ts';
import { resolveUpdateInput } from '../contracts/update.ts';
import type { Dependencies } from './dependencies.ts';
import { findChampion } from './registry.ts';
import { readManifest } from './analysis.ts';

export interface UpdateActivities {
  /** Sets every value of the input; the run fails with a sentence for each wrong one. */
  resolveUpdateInput: (raw: unknown) => Promise<ResolvedUpdateInput>;
  /** The data set, horizon and feature definitions of the model in use. */
  planUpdate: (update: ResolvedUpdateInput) => Promise<UpdatePlan>;
}

export function createUpdateActivities(deps: Dependencies): UpdateActivities {
  return {
    resolveUpdateInput: (raw) => {
      const resolved = resolveUpdateInput(raw);
      if ('update' in resolved) return Promise.resolve(resolved.update);
      throw wrongInput(`wrong input of an update: ${resolved.issues.join('; ')}`);
    },
    planUpdate: (update) => planUpdate(deps, update),
  };
}

const wrongInput = (message: string) => ApplicationFailure.nonRetryable(message, ERROR_TYPES.invalidInput);

async function planUpdate(deps: Dependencies, update: ResolvedUpdateInput): Promise<UpdatePlan> {
  const { modelName } = update;
  const champion = await findChampion(deps, modelName);
  if (champion === null) {
    throw wrongInput(
      `no version of ${modelName} is in use, so there are no forecasts to update: run the pipeline first ` +
        '(`npx shelfcast run`)',
    );
  }
  const { dataset = champion.dataset } = update;
  const inUse = `version ${champion.version} of ${modelName}, which is in use, was trained on the data set ${champion.dataset}`;
  if (dataset !== champion.dataset) {
    throw wrongInput(`${inUse}, not ${dataset}: name that one, or train on yours with the pipeline`);
  }
  const manifest = await readManifest(champion.modelUri);
  const resolved = resolvePipelineInput({ ...update, dataset, horizonWeeks: manifest.horizonWeeks });
  if ('issues' in resolved) {
    throw wrongInput(`${inUse}: run the pipeline on yours first (${resolved.issues.join('; ')})`);
  }
  return { input: resolved.input, champion, featureSetVersion: manifest.featureSetVersion };
}
