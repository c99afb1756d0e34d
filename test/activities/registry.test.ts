/** Aliases and tags of model versions, on a registry in memory. */
import { beforeEach, describe, expect, test } from 'vitest';
import { createRegistryActivities, register } from '../../activities/registry.ts';
import type { TrainResult } from '../../contracts/jobs.ts';
import { resolvePipelineInput } from '../../contracts/pipeline.ts';
import type { RegisteredVersion } from '../../contracts/rollout.ts';
import { activityEnvironment } from './activity-environment.ts';
import { MemoryMlflow } from './memory-mlflow.ts';

const version = (number: number): RegisteredVersion => ({
  modelName: 'm',
  version: number,
  runId: `run-${number}`,
  modelUri: `file:///models/${number}`,
  modelHash: `hash-${number}`,
  dataset: `dataset_${number}`,
});
const tagsOf = ({ modelUri, modelHash, dataset }: RegisteredVersion) => ({
  'shelfcast.model_uri': modelUri,
  'shelfcast.model_hash': modelHash,
  'shelfcast.dataset': dataset,
  'shelfcast.snapshot': 'snapshot',
});

let mlflow: MemoryMlflow;
beforeEach(() => {
  mlflow = new MemoryMlflow();
  for (const number of [1, 2, 3]) {
    mlflow.add({ version: number, runId: `run-${number}`, tags: tagsOf(version(number)) });
  }
});
const activities = () => createRegistryActivities({ mlflow: mlflow.asMlflow() });
const holders = () => Object.fromEntries([...mlflow.aliases].toSorted());
const [first, candidate] = [version(1), version(2)];

describe('findChampion', () => {
  test('is null while no version holds the alias', async () => {
    expect(await activities().findChampion('m')).toBeNull();
  });

  test('returns the holder of the alias, with the values of its tags', async () => {
    mlflow.aliases.set('champion', 2);
    expect(await activities().findChampion('m')).toEqual(candidate);
  });

  test.each(['shelfcast.model_uri', 'shelfcast.model_hash', 'shelfcast.dataset'])(
    'fails on a holder without the tag %s, and names it',
    async (tag) => {
      const tags = Object.fromEntries(Object.entries(tagsOf(candidate)).filter(([key]) => key !== tag));
      mlflow.add({ version: 4, runId: 'run-4', tags });
      mlflow.aliases.set('champion', 4);
      await expect(activities().findChampion('m')).rejects.toMatchObject({
        type: 'InvalidInput',
        nonRetryable: true,
        message: expect.stringMatching(
          `^version 4 of m .* lacks the tag ${tag}: give the alias to a version that shelfcast registered$`,
        ) as string,
      });
    },
  );
});

describe('moveAliases', () => {
  test('gives champion to the candidate and previous to the old champion', async () => {
    mlflow.aliases.set('champion', 1).set('candidate', 2);
    // Twice, as a repeated activity does.
    await activities().moveAliases({ candidate, champion: first });
    await activities().moveAliases({ candidate, champion: first });
    expect(holders()).toEqual({ champion: 2, previous: 1 });
  });

  test('does not change previous when there was no other champion', async () => {
    await activities().moveAliases({ candidate, champion: null });
    expect(holders()).toEqual({ champion: 2 });
    mlflow.aliases.set('previous', 1);
    await activities().moveAliases({ candidate, champion: candidate });
    expect(holders()).toEqual({ champion: 2, previous: 1 });
  });
});

describe('restoreAliases', () => {
  test.each([
    ['gives champion back to the old one', 2, first, { champion: 1 }],
    ['takes champion away where there was no other', 2, null, {}],
    ['leaves champion with the old one', 1, first, { champion: 1 }],
    ['leaves champion with a third version, which somebody chose meanwhile', 3, first, { champion: 3 }],
    ['leaves a third version also where there was no other', 3, null, { champion: 3 }],
  ])('%s', async (_name, holder, champion, expected) => {
    mlflow.aliases.set('champion', holder).set('candidate', 2);
    await activities().restoreAliases({ candidate, champion });
    expect(holders()).toEqual(expected);
  });
});

test('restoreAliases gives champion to nobody where somebody took it away meanwhile', async () => {
  mlflow.aliases.set('candidate', 2);
  await activities().restoreAliases({ candidate, champion: first });
  expect(holders()).toEqual({});
});

describe('tagVerdict', () => {
  test.each([
    ['rejected', { champion: 1 }],
    ['promoted', { candidate: 2, champion: 1 }],
    ['rolled-back', { candidate: 2, champion: 1 }],
  ] as const)(
    '%s: tags the candidate alone; a rejected one is no candidate any more',
    async (verdict, left) => {
      mlflow.aliases.set('champion', 1).set('candidate', 2);
      await activities().tagVerdict({ candidate, verdict, reason: 'x'.repeat(2_000) });
      expect(mlflow.versions.map(({ tags }) => tags['shelfcast.verdict'])).toEqual([
        undefined,
        verdict,
        undefined,
      ]);
      expect(mlflow.versions[1]?.tags['shelfcast.reason']).toBe('x'.repeat(1_000));
      expect(holders()).toEqual(left);
    },
  );
});

describe('register', () => {
  const resolved = resolvePipelineInput({
    modelName: 'm',
    dataset: 'shop',
    source: { kind: 'walmart-csv', path: '/d' },
  });
  if (!('input' in resolved)) throw new Error('invalid input');
  const model = { modelUri: 'file:///models/new', modelHash: 'new' } as TrainResult;
  const request = { input: resolved.input, model, snapshotId: 'shop-1-ab' };

  test('registers one version per run, with its tags and the alias candidate', async () => {
    const made = await register({ mlflow: mlflow.asMlflow() }, request, 'key-1');
    expect(made).toEqual({
      modelName: 'm',
      version: 4,
      runId: 'm/key-1',
      modelUri: 'file:///models/new',
      modelHash: 'new',
      dataset: 'shop',
    });
    expect(await register({ mlflow: mlflow.asMlflow() }, request, 'key-1')).toEqual(made);
    expect(mlflow.versions).toHaveLength(4);
    expect(mlflow.versions[3]?.source).toBe('mlflow-artifacts:/r/model');
    expect(mlflow.versions[3]?.tags).toEqual({
      'shelfcast.model_uri': 'file:///models/new',
      'shelfcast.model_hash': 'new',
      'shelfcast.dataset': 'shop',
      'shelfcast.snapshot': 'shop-1-ab',
      'shelfcast.model_card': 'mlflow-artifacts:/r/evaluate/model-card.md',
    });
    expect(holders()).toEqual({ candidate: 4 });
  });

  test('finds the MLflow run by the key of the pipeline run', async () => {
    const made: unknown = await activityEnvironment().run(activities().register, request);
    expect(made).toMatchObject({ runId: 'm/pipeline-m-583fe520' });
  });
});
