/** Pods of an installation: those of its manifests, and those that workers make by its configuration. */
import { join } from 'node:path';
import { readKubernetesConfig } from '../../../infra/kubernetes/config.ts';
import { inferenceService } from '../../../infra/kubernetes/serving/inference-service.ts';
import { programJob } from '../../../infra/kubernetes/jobs/program-job.ts';
import { rayJob } from '../../../infra/kubernetes/jobs/ray-job.ts';
import type { PodSpec } from './pod-rules.ts';
import type { Manifest, Overlay } from './render.ts';
import { MANIFESTS, nameOf } from './render.ts';

const JOB = { name: 'pipeline-sales-1a2b3c4d-features-1', module: 'shelfcast.features', args: [] };
const SERVED = {
  modelName: 'sales-forecast',
  version: 3,
  modelUri: 'file:///artifacts/run/train/model',
  modelHash: 'a'.repeat(64),
};

/** Manifests are typed by who makes them, or not at all. */
const asPod = (spec: unknown): PodSpec => spec as PodSpec;
const podOf = (object: unknown): PodSpec =>
  (object as { spec: { template: { spec: PodSpec } } }).spec.template.spec;

export function appliedPods(objects: readonly Manifest[]): [string, PodSpec][] {
  return objects
    .filter(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind))
    .map((object) => {
      const pod = podOf(object);
      return [nameOf(object), { ...pod, volumes: [...(pod.volumes ?? []), ...claimsOf(object)] }];
    });
}

/** Volumes that a StatefulSet's pods have beside those of their template. */
function claimsOf(object: Manifest): NonNullable<PodSpec['volumes']> {
  const { volumeClaimTemplates = [] } = object['spec'] as {
    volumeClaimTemplates?: { metadata: { name: string } }[];
  };
  return volumeClaimTemplates.map(({ metadata: { name } }) => ({
    name,
    persistentVolumeClaim: { claimName: name },
  }));
}

/** Pods that workers make by this overlay's configuration and runtimes. */
export function madePods(overlay: Overlay, objects: readonly Manifest[]): [string, PodSpec][] {
  const config = readKubernetesConfig(join(MANIFESTS, 'overlays', overlay, 'kubernetes.yaml'));
  const { spec: ray } = rayJob(config, JOB);
  if (!('rayClusterSpec' in ray)) throw new Error('the overlay uses a Ray cluster that runs already');
  const { headGroupSpec, workerGroupSpecs = [] } = ray.rayClusterSpec;
  const training = find(objects, 'ClusterTrainingRuntime') as unknown as {
    spec: { template: { spec: { replicatedJobs: { template: unknown }[] } } };
  };
  const nodes = training.spec.template.spec.replicatedJobs;
  const { predictor } = inferenceService(SERVED, config, 'Standard').spec;
  const { containers, volumes } = find(objects, 'ServingRuntime')['spec'] as PodSpec;
  return [
    ['program', podOf(programJob(config, JOB))],
    ['submitter of a Ray job', asPod(ray.submitterPodTemplate.spec)],
    ['head of Ray', asPod(headGroupSpec.template.spec)],
    ...workerGroupSpecs.map(({ template }): [string, PodSpec] => ['worker of Ray', asPod(template.spec)]),
    ...nodes.map(({ template }): [string, PodSpec] => ['node of a training', podOf(template)]),
    ['predictor', asPod({ ...podFieldsOf(predictor), containers, volumes })],
  ];
}

/** KServe has fields of its own beside those of a pod. */
function podFieldsOf(predictor: object): object {
  const own = ['model', 'minReplicas', 'maxReplicas', 'deploymentStrategy', 'autoScaling'];
  return Object.fromEntries(Object.entries(predictor).filter(([field]) => !own.includes(field)));
}

function find(objects: readonly Manifest[], kind: string): Manifest {
  const found = objects.find((object) => object.kind === kind);
  if (found === undefined) throw new Error(`the overlay has no ${kind}`);
  return found;
}
