/** Training-serving skew check: compares the features that the deployed candidate reads online with its training data. */
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { Pool } from 'pg';
import { ERROR_TYPES } from '../contracts/errors.ts';
import type { SkewSample } from '../contracts/jobs.ts';
import { featuresLock } from '../contracts/names.ts';
import type { ModelManifest } from '../contracts/model.ts';
import type { RegisteredVersion } from '../contracts/rollout.ts';
import type { Prediction } from '../contracts/predict.ts';
import type { Serving } from '../infra/platform.ts';
import type { Dependencies } from './dependencies.ts';
import { askForecasts, forecastsOf } from './endpoint.ts';
import { readManifest, readSkewSample } from './job-outputs.ts';
import type { WithIds } from './series-ids.ts';
import { readSeriesIds } from './series-ids.ts';

type SampleRow = WithIds<SkewSample['sample'][number]>;

export interface TrainingServingSkewActivities {
  /**
   * Asks the candidate, pinned, for the series that the features job sampled, and returns a sentence with the numbers,
   * or the reason why nothing was compared.
   * @throws ApplicationFailure `CandidateFailed` when the candidate reads other features.
   */
  checkTrainingServingSkew: (request: SkewCheckRequest) => Promise<string>;
}

interface SkewCheckRequest {
  candidate: RegisteredVersion;
  skewSampleUri: string;
}

export function createTrainingServingSkewActivities(deps: Dependencies): TrainingServingSkewActivities {
  return {
    checkTrainingServingSkew: (request) =>
      checkTrainingServingSkew(deps, request, Context.current().cancellationSignal),
  };
}

export async function checkTrainingServingSkew(
  { database, serving }: { database: Pool; serving: Pick<Serving, 'url'> },
  { candidate, skewSampleUri }: SkewCheckRequest,
  signal: AbortSignal,
): Promise<string> {
  const skewSample = await readSkewSample(skewSampleUri);
  const manifest = await readManifest(candidate.modelUri);
  const { withIds } = await readSeriesIds(database, manifest.dataset);
  const sample = skewSample.sample.map(withIds);
  return await withFeaturesLock(database, manifest.feastProject, (onlineSnapshot) => {
    if (onlineSnapshot === null) return notCompared('another run is building features');
    if (onlineSnapshot !== skewSample.snapshotId) {
      return notCompared(`they belong to snapshot ${onlineSnapshot}, not to ${skewSample.snapshotId}`);
    }
    return compareSample(serving.url, candidate, manifest, sample, signal);
  });
}

async function compareSample(
  url: string,
  { modelName, version }: RegisteredVersion,
  { feastProject, features }: ModelManifest,
  sample: readonly SampleRow[],
  signal: AbortSignal,
): Promise<string> {
  const instances = sample.map(({ store, dept, horizon }) => ({ store, dept, horizon }));
  const answer = await askForecasts({ url, modelName }, instances, signal, version, '?explain=features');
  const names = features.map(({ name }) => name);
  const predictions = forecastsOf(answer, version, `${sample.length} sampled forecasts`);
  const differences = featureDifferences(names, sample, predictions);
  const count = names.length * sample.length;
  const [first] = differences;
  if (first === undefined) {
    return `${count} features of ${sample.length} forecasts, read online, equal the training data`;
  }
  throw ApplicationFailure.nonRetryable(
    `version ${version} reads other features online than it was trained with: ${differences.length} of ${count} ` +
      `differ, such as ${first}; run the pipeline again. If that does not help, look for another program that ` +
      `writes to the tables feast_online.${feastProject}_*`,
    ERROR_TYPES.candidateFailed,
  );
}

const notCompared = (why: string): string => `its online features were not compared: ${why}`;

/**
 * Returns a description of each feature that differs from the sample. Numbers must be equal to the last bit, except that
 * JSON does not distinguish -0 from 0.
 */
export function featureDifferences(
  names: readonly string[],
  sample: readonly SampleRow[],
  predictions: readonly Prediction[],
): string[] {
  return sample.flatMap((row, i) => {
    const prediction = predictions[i];
    const used = prediction?.features;
    const where = `store ${row.store}, dept ${row.dept}, week ${row.targetWeek}`;
    if (prediction?.targetWeek !== row.targetWeek) {
      const week = prediction?.targetWeek ?? null;
      return [
        `${where}: ${week === null ? 'the answer has no target week' : `the answer is for week ${week}`}`,
      ];
    }
    return names.flatMap((name) => {
      const [online, trained] = [valueOf(used, name), valueOf(row.features, name)];
      const isSame = online !== undefined && online === trained;
      return isSame ? [] : [`${where}: ${name} is ${shown(online)} online, ${shown(trained)} in training`];
    });
  });
}

/** Returns undefined when there is no such feature. */
const valueOf = (features: Record<string, number | null> | undefined, name: string) =>
  features !== undefined && Object.hasOwn(features, name) ? features[name] : undefined;

const shown = (value: number | null | undefined): string => {
  if (value === undefined) return 'absent';
  return value === null ? 'unknown' : String(value);
};

/**
 * Calls `work` with the id of the online snapshot while no features job of the project can start, or with null when such
 * a job is already running.
 */
async function withFeaturesLock<T>(
  database: Pool,
  feastProject: string,
  work: (onlineSnapshot: string | null) => T | Promise<T>,
): Promise<T> {
  const client = await database.connect();
  try {
    await client.query('begin');
    const lock = await client.query<{ free: boolean }>(
      'select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as free',
      [featuresLock(feastProject)],
    );
    if (lock.rows[0]?.free !== true) return await work(null);
    const online = await client.query<{ snapshot: string }>(
      'select snapshot_id as snapshot from ops.feature_watermark where feast_project = $1',
      [feastProject],
    );
    return await work(online.rows[0]?.snapshot ?? 'none');
  } finally {
    // The rollback, or the end of the connection, releases the lock.
    await client.query('rollback').then(
      () => {
        client.release();
      },
      () => {
        client.release(true);
      },
    );
  }
}
