import { ApplicationFailure } from '@temporalio/activity';
import { ERROR_TYPES } from '../contracts/errors.ts';
import { resolvePipelineInput } from '../contracts/pipeline.ts';
import type { ResolvedUpdateInput, UpdatePlan } from '../contracts/update.ts';
import { resolveUpdateInput } from '../contracts/update.ts';
import type { Dependencies } from './dependencies.ts';
import { findChampion } from './registry.ts';
import { readManifest } from './job-outputs.ts';

export interface UpdateActivities {
  /** Fills in the defaults. @throws ApplicationFailure `InvalidInput` with one sentence for each invalid value */
  resolveUpdateInput: (raw: unknown) => Promise<ResolvedUpdateInput>;
  /** Returns the data set, horizon and feature definitions of the model in use. */
  planUpdate: (update: ResolvedUpdateInput) => Promise<UpdatePlan>;
}

export function createUpdateActivities(deps: Dependencies): UpdateActivities {
  return {
    resolveUpdateInput: (raw) => {
      const resolved = resolveUpdateInput(raw);
      if ('update' in resolved) return Promise.resolve(resolved.update);
      throw invalidInput(`invalid input of an update: ${resolved.issues.join('; ')}`);
    },
    planUpdate: (update) => planUpdate(deps, update),
  };
}

const invalidInput = (message: string) => ApplicationFailure.nonRetryable(message, ERROR_TYPES.invalidInput);

async function planUpdate(deps: Dependencies, update: ResolvedUpdateInput): Promise<UpdatePlan> {
  const { modelName } = update;
  const champion = await findChampion(deps, modelName);
  if (champion === null) {
    throw invalidInput(
      `no version of ${modelName} is in use, so there are no forecasts to update: ` +
        'train a model first with `npx shelfcast run`',
    );
  }
  const { dataset = champion.dataset } = update;
  const inUse = `version ${champion.version} of ${modelName}, which is in use, was trained on the data set ${champion.dataset}`;
  if (dataset !== champion.dataset) {
    throw invalidInput(
      `${inUse}, not on ${dataset}: leave out the data set, or train on ${dataset} with \`npx shelfcast run\``,
    );
  }
  const manifest = await readManifest(champion.modelUri);
  const resolved = resolvePipelineInput({ ...update, dataset, horizonWeeks: manifest.horizonWeeks });
  if ('issues' in resolved) {
    throw invalidInput(
      `${inUse}; this source does not fit it (${resolved.issues.join('; ')}): train on it first with \`npx shelfcast run\``,
    );
  }
  return { input: resolved.input, champion, featureSetVersion: manifest.featureSetVersion };
}
