/** kubectl, as a person would type it, on the cluster under test. */
import { existsSync } from 'node:fs';
import { execa } from 'execa';
import { kubectl as devKubectl } from './dev-cluster.ts';

const program = (): string => (existsSync(devKubectl()) ? devKubectl() : 'kubectl');

/** Runs kubectl and returns what it printed. @throws ExecaError with what it said on standard error */
export async function kubectl(...args: string[]): Promise<string> {
  return (await execa(program(), args, { stdin: 'ignore' })).stdout;
}

/** Gives kubectl text on its standard input. */
export async function kubectlWith(input: string, ...args: string[]): Promise<string> {
  return (await execa(program(), args, { input })).stdout;
}

export async function kubectlJson<T>(...args: string[]): Promise<T> {
  return JSON.parse(await kubectl(...args, '-o', 'json')) as T;
}

interface Listed {
  items: { kind: string; metadata: { name: string } }[];
}

/** Kinds that shelfcast's worker makes, on a cluster that has all operators. */
const MADE_KINDS = [
  'jobs.batch',
  'pods',
  'configmaps',
  'secrets',
  'services',
  'deployments.apps',
  'horizontalpodautoscalers.autoscaling',
  'poddisruptionbudgets.policy',
  'rayjobs.ray.io',
  'rayclusters.ray.io',
  'trainjobs.trainer.kubeflow.org',
  'jobsets.jobset.x-k8s.io',
  'inferenceservices.serving.kserve.io',
  'httproutes.gateway.networking.k8s.io',
];

/** `kind/name` of everything of those kinds in the namespace, sorted. */
export async function objectsIn(namespace: string): Promise<string[]> {
  const { items } = await kubectlJson<Listed>('get', MADE_KINDS.join(','), '--namespace', namespace);
  return items.map(({ kind, metadata }) => `${kind}/${metadata.name}`).sort();
}
