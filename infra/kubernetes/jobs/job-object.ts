/** Name, labels and annotations that all objects of a job share. */
import { kubernetesName, LABELS } from '../names.ts';

/** Label (the object's name) on a job's object and its pods; annotation (the job's full name) on its object. */
const JOB_KEY = 'shelfcast.dev/job';
/** Label by which Kueue holds an object back. */
export const QUEUE_LABEL = 'kueue.x-k8s.io/queue-name';
/** KubeRay allows 47 characters, and the pods of Ray and JobSet get longer names than their jobs. */
const MAX_NAME_LENGTH = 45;

export const jobObjectName = (job: string): string => kubernetesName(job, MAX_NAME_LENGTH);

/** Labels of a job's pods and of its pod templates. */
export const jobPodLabels = (job: string): Record<string, string> => ({
  ...LABELS,
  'app.kubernetes.io/component': 'job',
  [JOB_KEY]: jobObjectName(job),
});

/** Labels of the pods that read sources; the network policy of components/sources selects them. */
export const sourceReaderLabels = (job: string): Record<string, string> => ({
  ...jobPodLabels(job),
  'shelfcast.dev/reads': 'sources',
});

/** Label selector of a job's pods. */
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
