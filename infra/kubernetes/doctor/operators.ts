/**
 * Check that the operators work, however they are installed and without access to other namespaces: each gets an object that it must
 * refuse or complete. All are dry runs except KubeRay's, because KubeRay may run without a webhook. None creates a pod.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { ObjectReference } from '../api.ts';
import { errorOf } from '../connection.ts';
import type { Finding, Patient } from './finding.ts';
import { APPLY_OVERLAY, isRefusedByWebhook, look, ok, wrong } from './finding.ts';
import { LABELS } from '../names.ts';
import { refuseIgnored, standardModeName } from '../serving/serving-mode.ts';

const POLL_MS = 250;

export async function findOperators(patient: Patient): Promise<Finding[]> {
  const { api } = patient;
  const checks: [string, string, string, (patient: Patient) => Promise<Finding | Finding[]>][] = [
    ['ray.io/v1', 'RayJob', 'KubeRay', findKubeRay],
    ['trainer.kubeflow.org/v1alpha1', 'TrainJob', 'Kubeflow Trainer', findTrainer],
    ['jobset.x-k8s.io/v1alpha2', 'JobSet', 'JobSet', findJobSet],
    ['serving.kserve.io/v1beta1', 'InferenceService', 'KServe', findKServe],
  ];
  const ignored = look('serving', async () => {
    await refuseIgnored(api, patient.config.serving);
    return [];
  });
  const findings = await Promise.all([
    ...checks.map(([apiVersion, kind, operator, check]) =>
      look(operator, async () => ((await api.has(apiVersion, kind)) ? check(patient) : [])),
    ),
    ignored,
  ]);
  return findings.flat();
}

const rayJobSchema = z.object({
  status: z.object({ jobDeploymentStatus: z.string().default('') }).prefault({}),
});

/** A RayJob without a cluster is invalid, which KubeRay records in its status. */
async function findKubeRay({ api, config, operatorWithinMs }: Patient): Promise<Finding> {
  const probe = {
    apiVersion: 'ray.io/v1',
    kind: 'RayJob',
    metadata: { name: `shelfcast-doctor-${randomBytes(4).toString('hex')}`, labels: LABELS },
    spec: { entrypoint: 'true' },
  };
  try {
    await api.create(probe);
  } catch (error) {
    if (isRefusedByWebhook(error)) return ok('KubeRay works');
    throw error;
  }
  try {
    const deadline = Date.now() + operatorWithinMs;
    while (Date.now() < deadline) {
      const { status } = rayJobSchema.parse((await api.read(probe)) ?? {});
      if (status.jobDeploymentStatus !== '') return ok('KubeRay works');
      await sleep(POLL_MS);
    }
  } finally {
    await api.remove(probe);
  }
  return wrong(
    'KubeRay',
    `it has not processed a RayJob within ${operatorWithinMs / 1_000} s; see whether its operator runs and watches the namespace ` +
      `"${config.namespace}"`,
  );
}

/** Trainer's webhook refuses a TrainJob with an unknown runtime. This shows whether ours exists; only an administrator may read it. */
async function findTrainer(patient: Patient): Promise<Finding[]> {
  const { runtime } = patient.config.jobs.training;
  if (!(await isRefused(patient, 'trainjobs', trainJob('shelfcast-doctor-no-such-runtime')))) {
    return [
      wrong(
        'Kubeflow Trainer',
        'a TrainJob without a runtime is not refused; see whether its controller manager runs and its webhook is registered',
      ),
    ];
  }
  const what = `ClusterTrainingRuntime ${runtime}`;
  const isMissing = await isRefused(patient, 'trainjobs', trainJob(runtime));
  return [
    ok('Kubeflow Trainer works'),
    isMissing
      ? wrong(what, `Trainer does not find it; ${APPLY_OVERLAY}, or correct jobs.training.runtime`)
      : ok(what),
  ];
}

const trainJob = (runtime: string) => ({
  apiVersion: 'trainer.kubeflow.org/v1alpha1',
  kind: 'TrainJob',
  metadata: { name: 'shelfcast-doctor' },
  spec: { suspend: true, runtimeRef: { name: runtime } },
});

const jobSetSchema = z.object({
  spec: z.object({
    replicatedJobs: z.array(
      z.object({ template: z.object({ spec: z.object({ completionMode: z.string().optional() }) }) }),
    ),
  }),
});

/** JobSet's webhook sets the completion mode of every Job to Indexed. */
async function findJobSet(patient: Patient): Promise<Finding> {
  const probe = {
    apiVersion: 'jobset.x-k8s.io/v1alpha2',
    kind: 'JobSet',
    metadata: { name: 'shelfcast-doctor' },
    spec: {
      suspend: true,
      replicatedJobs: [{ name: 'node', template: { spec: { template: { spec: emptyPod('node') } } } }],
    },
  };
  const made = await dryRun(patient, 'jobsets', probe);
  const isCompleted = jobSetSchema
    .parse(made)
    .spec.replicatedJobs.every(({ template }) => template.spec.completionMode === 'Indexed');
  return isCompleted
    ? ok('JobSet works')
    : wrong(
        'JobSet',
        'a JobSet is not completed; see whether its controller manager runs and its webhook is registered',
      );
}

const inferenceServiceSchema = z.object({
  metadata: z.object({ annotations: z.record(z.string(), z.string()).default({}) }),
});
const MODE = 'serving.kserve.io/deploymentMode';

/** KServe's webhooks refuse a maximum below the minimum, and set the mode of a service that names none. */
async function findKServe(patient: Patient): Promise<Finding> {
  const probe = (replicas: object) => ({
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    metadata: { name: 'shelfcast-doctor' },
    spec: { predictor: { ...replicas, containers: emptyPod('kserve-container').containers } },
  });
  if (!(await isRefused(patient, 'inferenceservices', probe({ minReplicas: 2, maxReplicas: 1 })))) {
    return wrong(
      'KServe',
      'an InferenceService with a maximum of replicas below its minimum is not refused; see whether its controller manager runs and its ' +
        'webhooks are registered',
    );
  }
  const made = inferenceServiceSchema.parse(await dryRun(patient, 'inferenceservices', probe({})));
  const usual = made.metadata.annotations[MODE] ?? 'Knative';
  const ours = await standardModeName(patient.api);
  return ok(`KServe works; versions are deployed in mode ${ours}, services that name none in mode ${usual}`);
}

const emptyPod = (name: string) => ({
  restartPolicy: 'Never',
  containers: [{ name, image: 'shelfcast-doctor' }],
});

async function isRefused(patient: Patient, resource: string, object: ObjectReference): Promise<boolean> {
  try {
    await dryRun(patient, resource, object);
    return false;
  } catch (error) {
    if (isRefusedByWebhook(error)) return true;
    throw error;
  }
}

/** The object as the API server would store it; nothing is created. */
async function dryRun(
  { connection, config }: Patient,
  resource: string,
  object: ObjectReference,
): Promise<unknown> {
  const operation = `testing whether ${object.kind}s are processed in namespace "${config.namespace}"`;
  const answer = await connection.send({
    operation,
    method: 'POST',
    path: `/apis/${object.apiVersion}/namespaces/${config.namespace}/${resource}`,
    query: { dryRun: 'All' },
    body: object,
  });
  if (answer.status >= 300) throw errorOf(operation, answer);
  return JSON.parse(answer.text);
}
