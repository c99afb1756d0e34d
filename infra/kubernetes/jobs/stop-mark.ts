/**
 * Record that a job was stopped: a small ConfigMap that outlives the job's object. Suspending the object instead
 * would fail: Kueue owns that field and would start the job again, and KubeRay cannot suspend a job on an existing cluster.
 */
import type { KubernetesApi, ObjectReference } from '../api.ts';
import { jobMetadata, jobObjectName } from './job-object.ts';

const reference = (job: string): ObjectReference => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: `${jobObjectName(job)}-stopped` },
});

export async function markStopped(api: KubernetesApi, job: string): Promise<void> {
  const { apiVersion, kind, metadata } = reference(job);
  await api.create({ apiVersion, kind, metadata: { ...jobMetadata(job, api.namespace), ...metadata } });
}

export async function isMarkedStopped(
  api: KubernetesApi,
  job: string,
  signal?: AbortSignal,
): Promise<boolean> {
  return (await api.read(reference(job), signal)) !== null;
}

export const forgetStopped = (api: KubernetesApi, job: string): Promise<void> => api.remove(reference(job));
