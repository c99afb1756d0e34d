/** The three ways in which jobs run on Kubernetes. */
import type { JobPlatform } from '../../platform.ts';
import type { KubernetesApi } from '../api.ts';
import { ClusterJobs } from './cluster-jobs.ts';
import type { KubernetesConfig } from '../config.ts';
import { jobObjectName } from './job-object.ts';
import { programJobState, rayClusterOf, rayJobState, trainJobState } from './job-state.ts';
import { PROGRAM_CONTAINER, programJob } from './program-job.ts';
import { rayJob, SUBMITTER_CONTAINER } from './ray-job.ts';
import { NODE, trainJob } from './train-job.ts';

/** Plain programs, each a Kubernetes Job. */
export function createProgramJobs(api: KubernetesApi, config: KubernetesConfig): JobPlatform {
  return new ClusterJobs(
    api,
    {
      apiVersion: 'batch/v1',
      kind: 'Job',
      manifest: (job) => programJob(config, job),
      stateOf: programJobState,
      removal: 'Foreground',
      intermediates: () => [],
      eventSources: (name) => [jobObjectName(name)],
      logContainer: PROGRAM_CONTAINER,
    },
    config.jobs.pendingAfterSeconds,
  );
}

/** Jobs that use a Ray cluster, each a RayJob of KubeRay. */
export function createRayJobs(api: KubernetesApi, config: KubernetesConfig): JobPlatform {
  return new ClusterJobs(
    api,
    {
      apiVersion: 'ray.io/v1',
      kind: 'RayJob',
      manifest: (job) => rayJob(config, job),
      stateOf: rayJobState,
      removal: 'Foreground',
      intermediates: () => [],
      eventSources: (name, object) =>
        [jobObjectName(name), rayClusterOf(object)].filter((source) => source !== ''),
      logContainer: SUBMITTER_CONTAINER,
    },
    config.jobs.pendingAfterSeconds,
  );
}

/** Distributed trainings, each a TrainJob of Kubeflow Trainer. */
export function createTrainingJobs(api: KubernetesApi, config: KubernetesConfig): JobPlatform {
  return new ClusterJobs(
    api,
    {
      apiVersion: 'trainer.kubeflow.org/v1alpha1',
      kind: 'TrainJob',
      manifest: (job) => trainJob(config, job),
      stateOf: trainJobState,
      // Trainer recreates the JobSet as long as the TrainJob exists, even while it is being deleted.
      removal: 'Background',
      intermediates: (name) => [
        { apiVersion: 'jobset.x-k8s.io/v1alpha2', kind: 'JobSet', metadata: { name: jobObjectName(name) } },
        { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: nodesJob(name) } },
      ],
      eventSources: (name) => [jobObjectName(name), nodesJob(name)],
      logContainer: NODE,
    },
    config.jobs.pendingAfterSeconds,
  );
}

/** Name of the one Job that a training's JobSet creates; its pods are the nodes. */
const nodesJob = (name: string): string => `${jobObjectName(name)}-${NODE}-0`;
