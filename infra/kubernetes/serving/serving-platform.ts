/** The two ways in which KServe serves versions. */
import type { Serving } from '../../platform.ts';
import type { KubernetesApi } from '../api.ts';
import type { KubernetesConfig } from '../config.ts';
import { KnativeServing } from './serving-knative.ts';
import { KubernetesServing } from './serving.ts';

export const createKubernetesServing = (api: KubernetesApi, config: KubernetesConfig): Serving =>
  config.serving.mode === 'knative' ? new KnativeServing(api, config) : new KubernetesServing(api, config);
