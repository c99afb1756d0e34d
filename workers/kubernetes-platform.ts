/** Jobs and predictors as objects of the operators; infra/kubernetes/config.ts describes the configuration file. */
import type { Dependencies } from '../activities/dependencies.ts';
import { KubernetesApi } from '../infra/kubernetes/api.ts';
import { readKubernetesConfig } from '../infra/kubernetes/config.ts';
import { loadKubeConfig } from '../infra/kubernetes/connection.ts';
import {
  createProgramJobs,
  createRayJobs,
  createTrainingJobs,
} from '../infra/kubernetes/jobs/job-platforms.ts';
import { KubernetesServing } from '../infra/kubernetes/serving/serving.ts';

export type Platform = Pick<Dependencies, 'platforms' | 'serving'>;

export function createKubernetesPlatform(configFile: string): Platform {
  const config = readKubernetesConfig(configFile);
  const api = new KubernetesApi(loadKubeConfig(), config.namespace);
  return {
    platforms: {
      features: createRayJobs(api, config),
      train: createTrainingJobs(api, config),
      programs: createProgramJobs(api, config),
    },
    serving: new KubernetesServing(api, config),
  };
}
