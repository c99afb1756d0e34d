/** Whether the deployed candidate reads online the features that the features job found in the training data. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { Pool } from 'pg';
import { ERROR_TYPES } from '../contracts/errors.ts';
import type { FeatureParity } from '../contracts/jobs.ts';
import { featureParitySchema } from '../contracts/jobs.ts';
import { featuresLock } from '../contracts/names.ts';
import type { ModelManifest } from '../contracts/model.ts';
import type { RegisteredVersion } from '../contracts/pipeline.ts';
import type { Prediction } from '../contracts/predict.ts';
import type { Serving } from '../infra/platform.ts';
import type { Dependencies } from './dependencies.ts';
import { askForecasts, forecastsOf } from './endpoint.ts';
import { parseOrFail, readManifest } from './evidence.ts';

export interface FeatureParityActivities {
  /**
   * Asks the candidate, pinned, for the series that the features job sampled; fails as `CandidateFailed` when it uses
   * other features. Says why where there is nothing to compare with.
   */
  checkFeatureParity: (request: FeatureParityRequest) => Promise<string>;
}

interface FeatureParityRequest {
  candidate: RegisteredVersion;
  /** `FeatureParity` of the run's features. */
  parityUri: string | undefined;
}

export function createFeatureParityActivities(deps: Dependencies): FeatureParityActivities {
  return {
    checkFeatureParity: (request) => checkFeatureParity(deps, request, Context.current().cancellationSignal),
  };
}

export async function checkFeatureParity(
  { database, serving }: { database: Pool; serving: Pick<Serving, 'url'> },
  { candidate, parityUri }: FeatureParityRequest,
  signal: AbortSignal,
): Promise<string> {
  if (parityUri === undefined)
    return notCompared('the features were built by a version that keeps no sample');
  const parity = parseOrFail(
    parityUri,
    featureParitySchema,
    await readFile(fileURLToPath(parityUri), 'utf8'),
  );
  const manifest = await readManifest(candidate.modelUri);
  return await whileFeaturesStay(database, manifest.feastProject, (onlineSnapshot) => {
    if (onlineSnapshot === null) return notCompared('another run renews the features at this moment');
    if (onlineSnapshot !== parity.snapshotId) {
      return notCompared(`online are features of snapshot ${onlineSnapshot}, not of ${parity.snapshotId}`);
    }
    return compareSample(serving.url, candidate, manifest, parity.sample, signal);
  });
}

async function compareSample(
  url: string,
  { modelName, version }: RegisteredVersion,
  { feastProject, features }: ModelManifest,
  sample: FeatureParity['sample'],
  signal: AbortSignal,
): Promise<string> {
  const instances = sample.map(({ store, dept, horizon }) => ({ store, dept, horizon }));
  const answer = await askForecasts({ url, modelName }, instances, signal, version, '?explain=features');
  const names = features.map(({ name }) => name);
  const predictions = forecastsOf(answer, `asked version ${version} for ${sample.length} sampled forecasts`);
  const differences = featureDifferences(names, sample, predictions);
  const count = names.length * sample.length;
  const [first] = differences;
  if (first === undefined) {
    return `${count} features of ${sample.length} forecasts, read online, are those of the training data`;
  }
  throw ApplicationFailure.nonRetryable(
    `version ${version} reads other features online than it was trained with: ${differences.length} of ${count} ` +
      `differ, such as ${first}; run the pipeline again, and if that does not help, look for another program that ` +
      `writes to the tables feast_online.${feastProject}_*`,
    ERROR_TYPES.candidateFailed,
  );
}

const notCompared = (why: string): string => `its online features were not compared: ${why}`;

/**
 * Each feature that was used otherwise than sampled, in words. Numbers must be equal to the last bit; JSON does not
 * tell -0 from 0.
 */
export function featureDifferences(
  names: readonly string[],
  sample: FeatureParity['sample'],
  predictions: readonly Prediction[],
): string[] {
  return sample.flatMap((row, i) => {
    const prediction = predictions[i];
    const used = prediction?.features;
    const where = `store ${row.store}, dept ${row.dept}, week ${row.targetWeek}`;
    if (prediction?.targetWeek !== row.targetWeek) {
      return [`${where}: it answered for week ${prediction?.targetWeek ?? 'none'}`];
    }
    return names.flatMap((name) => {
      const [online, trained] = [valueOf(used, name), valueOf(row.features, name)];
      const isSame = online !== undefined && online === trained;
      return isSame ? [] : [`${where}: ${name} is ${shown(online)} online, ${shown(trained)} in training`];
    });
  });
}

/** Undefined when there is no such feature at all. */
const valueOf = (features: Record<string, number | null> | undefined, name: string) =>
  features !== undefined && Object.hasOwn(features, name) ? features[name] : undefined;

const shown = (value: number | null | undefined): string => {
  if (value === undefined) return 'absent';
  return value === null ? 'unknown' : String(value);
};

/**
 * Hands over the snapshot that is online, and lets no features job of the project begin meanwhile; hands over null when
 * one runs already.
 */
async function whileFeaturesStay<T>(
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
    // The lock ends with the transaction, or with the connection.
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
