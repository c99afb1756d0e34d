/** The trial installation, and looks into everything that a pipeline leaves on the cluster. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { TASK_QUEUE } from '../../../contracts/names.ts';
import type { PipelineResult } from '../../../contracts/pipeline.ts';
import type { Pipelines, Run } from '../../drills/pipelines.ts';
import { connectPipelines, expectRecordedOnce, MODEL } from '../../drills/pipelines.ts';
import { kubectl, kubectlJson, objectsIn } from '../kubectl.ts';
import type { Trial } from './trial.ts';
import { installTrial, NAMESPACE } from './trial.ts';

export interface ClusterLab extends Pipelines {
  trial: Trial;
  /** Names of the namespace's pods of this label that run. */
  pods: (selector: string) => Promise<string[]>;
  /** Objects of the worker that exist now, as `kind/name`, without the installation itself. */
  made: () => Promise<string[]>;
}

export async function openClusterLab(): Promise<ClusterLab> {
  const trial = await installTrial();
  const installed = new Set(await objectsIn(NAMESPACE));
  const isInstalled = (name: string): boolean =>
    // Pods of the installation come and go under other names.
    installed.has(name) || /^(Pod|ReplicaSet)\/shelfcast-(worker|postgres|temporal|mlflow)-/.test(name);
  const pipelines = await connectPipelines({
    temporal: { address: trial.temporal, namespace: 'default', taskQueue: TASK_QUEUE },
    databaseUrl: trial.databaseUrl,
    mlflowUrl: trial.mlflowUrl,
    artifactsFolder: trial.artifactsFolder,
  });
  return {
    ...pipelines,
    trial,
    async pods(selector) {
      const { items } = await kubectlJson<{ items: { metadata: { name: string } }[] }>(
        ...['get', 'pods', '--namespace', NAMESPACE, '--selector', selector],
        '--field-selector=status.phase=Running',
      );
      return items.map(({ metadata }) => metadata.name);
    },
    made: async () => (await objectsIn(NAMESPACE)).filter((name) => !isInstalled(name)),
    async close() {
      await pipelines.close();
      await trial.remove();
    },
  };
}

/** Expects only objects of the served versions: no job is left, and none ran twice, even after a kill. */
export async function expectOnlyServing(lab: ClusterLab, versions: readonly number[]): Promise<void> {
  const isOfVersion = (name: string, version: number): boolean => name.includes(`/${MODEL}-v${version}`);
  await expect
    .poll(
      async () =>
        (await lab.made()).filter(
          (name) =>
            name !== `HTTPRoute/${MODEL}-traffic` && !versions.some((version) => isOfVersion(name, version)),
        ),
      { timeout: 90_000, interval: 1_000 },
    )
    .toEqual([]);
  const made = await lab.made();
  for (const version of versions) expect(made).toContain(`InferenceService/${MODEL}-v${version}`);
}

export async function expectNothingTwice(lab: ClusterLab, run: Run, result: PipelineResult): Promise<void> {
  await expectRecordedOnce(lab, run, result);
  // One log for each job that ever ran: none but the training may have needed a second.
  const folder = join(lab.trial.artifactsFolder, 'runs', run.key());
  const logs = (stage: string) => readdirSync(join(folder, stage)).filter((name) => name.startsWith('log-'));
  for (const stage of ['ingest', 'features', 'evaluate']) expect(logs(stage)).toEqual(['log-1.txt']);
  const { version } = result.registered;
  const { previousVersion } = result.rollout ?? { previousVersion: null };
  await expectOnlyServing(lab, previousVersion === null ? [version] : [version, previousVersion]);
}

export const inNamespace = (...args: string[]): Promise<string> => kubectl(...args, '--namespace', NAMESPACE);
