/** A job that needs no cluster, as a Kubernetes Job. */
import { pythonCommand } from '../../job-command.ts';
import type { JobSpec } from '../../platform.ts';
import type { KubernetesConfig } from '../config.ts';
import { jobMetadata, jobPodLabels, sourceReaderLabels } from './job-object.ts';
import { jobEnvironment, jobPodSpec } from './job-pod.ts';

export const PROGRAM_CONTAINER = 'job';
/** Module of the only program that reads sources. */
const SOURCE_READER = 'shelfcast.ingest';

export function programJob(config: KubernetesConfig, job: JobSpec) {
  const { queue, programs, ingest } = config.jobs;
  const readsSources = job.module === SOURCE_READER;
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: jobMetadata(job.name, config.namespace, queue),
    spec: {
      ...(queue === undefined ? {} : { suspend: true }),
      // A retry is a job of another name, recorded in the run's history.
      backoffLimit: 0,
      template: {
        metadata: { labels: readsSources ? sourceReaderLabels(job.name) : jobPodLabels(job.name) },
        spec: {
          restartPolicy: 'Never',
          ...jobPodSpec(config, {
            name: PROGRAM_CONTAINER,
            command: pythonCommand('python', job),
            env: jobEnvironment(config, job.name),
            ...(readsSources ? { secret: ingest.secret } : {}),
            resources: programs.resources,
          }),
        },
      },
    },
  };
}
