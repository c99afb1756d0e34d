/** A distributed training as a TrainJob of Kubeflow Trainer, on the runtime of infra/manifests/base/training-runtime.yaml. */
import { ApplicationFailure } from '@temporalio/common';
import { ERROR_TYPES } from '../../../contracts/errors.ts';
import type { JobSpec } from '../../platform.ts';
import type { KubernetesConfig } from '../config.ts';
import { placement } from '../placement.ts';
import type { Resources } from '../resources.ts';
import { jobMetadata, jobPodLabels } from './job-object.ts';
import { configuredVolumes, jobEnvironment } from './job-pod.ts';

/** Names that Trainer looks for: the replicated job that trains, and its container. */
export const NODE = 'node';
const GPU = 'nvidia.com/gpu';

export function trainJob(config: KubernetesConfig, job: JobSpec) {
  const { queue, training } = config.jobs;
  const { nodes, processesPerNode } = nodesOf(job, training.processesPerNode);
  return {
    apiVersion: 'trainer.kubeflow.org/v1alpha1',
    kind: 'TrainJob',
    metadata: jobMetadata(job.name, config.namespace, queue),
    spec: {
      runtimeRef: { name: training.runtime },
      ...(queue === undefined ? {} : { suspend: true }),
      // Trainer injects the PET_* variables, by which torchrun finds the other nodes, only if `trainer` is set.
      trainer: {
        image: config.images.ml,
        command: trainingCommand(job),
        numNodes: nodes,
        numProcPerNode: processesPerNode,
        resourcesPerNode: withGpus(training.resources, training.gpusPerNode),
        env: jobEnvironment(config, job.name),
      },
      runtimePatches: [
        { manager: 'shelfcast.dev/worker', trainingRuntimeSpec: runtimePatch(config, job.name) },
      ],
    },
  };
}

/** Command of a node. It names no rendezvous: torchrun reads the number of nodes and the address of the first one from PET_*. */
const trainingCommand = ({ module, args, trainingProcesses }: JobSpec): string[] => [
  'python',
  ...(trainingProcesses === undefined ? [] : ['-m', 'torch.distributed.run']),
  ...['-m', module, ...args],
];

/** @throws ApplicationFailure `InvalidInput` when the processes do not fill the nodes evenly. */
function nodesOf(
  { trainingProcesses = 1 }: JobSpec,
  perNode: number,
): { nodes: number; processesPerNode: number } {
  // Fewer processes than a node holds: one node that is not full.
  if (trainingProcesses < perNode) return { nodes: 1, processesPerNode: trainingProcesses };
  if (trainingProcesses % perNode === 0)
    return { nodes: trainingProcesses / perNode, processesPerNode: perNode };
  throw ApplicationFailure.nonRetryable(
    `train.processes: ${trainingProcesses} processes cannot fill nodes of ${perNode} evenly; ` +
      `choose a multiple of ${perNode}, or change jobs.training.processesPerNode in the Kubernetes configuration`,
    ERROR_TYPES.invalidInput,
  );
}

const withGpus = ({ requests, limits }: Resources, gpus: number): Resources =>
  gpus === 0
    ? { requests, limits }
    : { requests: { ...requests, [GPU]: String(gpus) }, limits: { ...limits, [GPU]: String(gpus) } };

/** Settings that differ between installations, so that the cluster's one runtime cannot hold them. */
function runtimePatch(config: KubernetesConfig, job: string) {
  const { volumes, volumeMounts } = configuredVolumes(config);
  const { podSecurityContext } = config;
  const labels = jobPodLabels(job);
  const podSpec = {
    ...placement(config, config.jobs),
    ...(Object.keys(podSecurityContext).length === 0 ? {} : { securityContext: podSecurityContext }),
    volumes,
    containers: [{ name: NODE, volumeMounts }],
  };
  return {
    template: {
      metadata: { labels },
      spec: {
        replicatedJobs: [
          { name: NODE, template: { spec: { template: { metadata: { labels }, spec: podSpec } } } },
        ],
      },
    },
  };
}
