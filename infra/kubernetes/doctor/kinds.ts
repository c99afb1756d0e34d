/** Check of the kinds of objects that this configuration uses, in the API versions that the adapters use. */
import { z } from 'zod';
import type { KubernetesConfig } from '../config.ts';
import { MissingOperator } from '../errors.ts';
import type { Finding, Patient } from './finding.ts';
import { look, ok, wrong } from './finding.ts';

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

export async function findKinds(patient: Patient): Promise<Finding[]> {
  const findings = await Promise.all(
    neededKinds(patient.config).map((kind) => {
      const what = `${kind.kind} of ${kind.apiVersion}`;
      return look(what, () => findKind(patient, what, kind));
    }),
  );
  return findings.flat();
}

async function findKind(
  { api, connection }: Patient,
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

async function versionsOf(connection: Patient['connection'], group: string): Promise<string[]> {
  const answer = await connection.send({
    operation: `asking for the versions of ${group}`,
    method: 'GET',
    path: `/apis/${group}`,
  });
  if (answer.status !== 200) return [];
  return groupSchema.parse(JSON.parse(answer.text)).versions.map(({ version }) => version);
}
