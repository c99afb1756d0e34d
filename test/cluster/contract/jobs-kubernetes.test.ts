/** The three ways in which jobs run on Kubernetes, with the real operators. */
import { randomUUID } from 'node:crypto';
import type { KubernetesApi } from '../../../infra/kubernetes/api.ts';
import type { KubernetesConfig } from '../../../infra/kubernetes/config.ts';
import {
  createProgramJobs,
  createRayJobs,
  createTrainingJobs,
} from '../../../infra/kubernetes/jobs/job-platforms.ts';
import type { JobPlatform } from '../../../infra/platform.ts';
import { JOB_MODULES, readLines, writeJobModules } from '../../contract/job-modules.ts';
import { jobPlatformContract } from '../../contract/jobs.ts';
import { loadImages } from '../images/images.ts';
import { makeJobNamespace, SMALL } from './job-namespace.ts';

// Here, since no hook waits long enough for an image that must be built.
const { ml } = await loadImages(['ml']);

const JOBS = {
  programs: { resources: SMALL },
  training: { resources: SMALL },
  features: { cluster: { head: { resources: SMALL }, workers: 0 } },
};
/** Ray's start takes most of a minute. */
const RAY_TIMEOUT_MS = 240_000;

function contractOf(
  name: string,
  create: (api: KubernetesApi, config: KubernetesConfig) => JobPlatform,
  options?: { timeoutMs: number },
): void {
  jobPlatformContract(
    name,
    async () => {
      const namespace = await makeJobNamespace(ml);
      writeJobModules(namespace.hostPath(namespace.jobPath('modules')));
      return {
        connect: () => create(namespace.api, namespace.config(JOBS)),
        modules: JOB_MODULES,
        newFile: () => namespace.jobPath(`file-${randomUUID()}`),
        readLines: (path) => readLines(namespace.hostPath(path)),
        isAlive: namespace.isAlive,
        close: namespace.close,
      };
    },
    options,
  );
}

contractOf('Jobs of Kubernetes', createProgramJobs);
contractOf('TrainJobs', createTrainingJobs);
contractOf('RayJobs', createRayJobs, { timeoutMs: RAY_TIMEOUT_MS });
