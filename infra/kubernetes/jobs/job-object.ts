/** What all objects of one job have in common, whatever runs it. */
import { kubernetesName, LABELS } from '../names.ts';

/** Label (the object's name) on a job's object and its pods; annotation (the job's full name) on its object. */
const JOB_KEY = 'shelfcast.dev/job';
/** Kueue holds back what carries it. */
export const QUEUE_LABEL = 'kueue.x-k8s.io/queue-name';
/** KubeRay takes 47, and Ray's and JobSet's pods get longer names than their jobs. */
const MAX_NAME_LENGTH = 45;

export const jobObjectName = (job: string): string => kubernetesName(job, MAX_NAME_LENGTH);

/** Of a job's pods, and of the pods' labels in a template. */
export const jobPodLabels = (job: string): Record<string, string> => ({
  ...LABELS,
  'app.kubernetes.io/component': 'job',
  [JOB_KEY]: jobObjectName(job),
});

/** Selects the pods of a job. */
export const jobPodSelector = (job: string): string => `${JOB_KEY}=${jobObjectName(job)}`;

/** @param queue Kueue's LocalQueue that decides when the job starts. */
export function jobMetadata(job: string, namespace: string, queue?: string) {
  return {
    name: jobObjectName(job),
    namespace,
    labels: { ...jobPodLabels(job), ...(queue === undefined ? {} : { [QUEUE_LABEL]: queue }) },
    annotations: { [JOB_KEY]: job },
  };
}
