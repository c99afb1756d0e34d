/** Check that the cluster has the kinds of objects that the configuration uses, in the adapters' API versions. */
import { z } from 'zod';
import type { KubernetesConfig } from '../config.ts';
import { MissingOperator } from '../errors.ts';
import type { Finding, CheckContext } from './finding.ts';
import { runCheck, ok, wrong } from './finding.ts';

interface Kind {
  apiVersion: string;
  kind: string;
}

const ALWAYS: Kind[] = [
  { apiVersion: 'ray.io/v1', kind: 'RayJob' },
  { apiVersion: 'trainer.kubeflow.org/v1alpha1', kind: 'TrainJob' },
  { apiVersion: 'jobset.x-k8s.io/v1alpha2', kind: 'JobSet' },
  { apiVersion: 'serving.kserve.io/v1beta1', kind: 'InferenceService' },
  { apiVersion: 'serving.kserve.io/v1alpha1', kind: 'ServingRuntime' },
  { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute' },
];

function neededKinds({ jobs, serving }: KubernetesConfig): Kind[] {
  return [
    ...ALWAYS,
    ...(jobs.queue === undefined ? [] : [{ apiVersion: 'kueue.x-k8s.io/v1beta1', kind: 'LocalQueue' }]),
    ...(serving.autoscaling.by === 'cpu'
      ? [{ apiVersion: 'metrics.k8s.io/v1beta1', kind: 'PodMetrics' }]
      : []),
  ];
}

export async function checkKinds(context: CheckContext): Promise<Finding[]> {
  const findings = await Promise.all(
    neededKinds(context.config).map((kind) => {
      const what = `${kind.kind} of ${kind.apiVersion}`;
      return runCheck(what, () => checkKind(context, what, kind));
    }),
  );
  return findings.flat();
}

async function checkKind(
  { api, connection }: CheckContext,
  what: string,
  { apiVersion, kind }: Kind,
): Promise<Finding> {
  if (await api.has(apiVersion, kind)) return ok(what);
  const { message } = new MissingOperator(apiVersion, kind);
  const [group = ''] = apiVersion.split('/');
  const others = await versionsOf(connection, group);
  return wrong(
    what,
    others.length === 0 ? message : `the cluster has ${group} in ${others.join(', ')} only; ${message}`,
  );
}

const groupSchema = z.object({ versions: z.array(z.object({ version: z.string() })) });

async function versionsOf(connection: CheckContext['connection'], group: string): Promise<string[]> {
  const answer = await connection.send({
    operation: `asking for the versions of ${group}`,
    method: 'GET',
    path: `/apis/${group}`,
  });
  if (answer.status !== 200) return [];
  return groupSchema.parse(JSON.parse(answer.text)).versions.map(({ version }) => version);
}
