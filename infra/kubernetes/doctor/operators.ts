/**
 * Check that the operators work, however they are installed and without access to other namespaces: each gets an object to refuse
 * or complete. All are dry runs except KubeRay's, because KubeRay may run without a webhook. None creates a pod.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { ObjectReference } from '../api.ts';
import { errorOf } from '../connection.ts';
import type { Finding, CheckContext } from './finding.ts';
import { APPLY_OVERLAY, isRefusedByWebhook, runCheck, ok, wrong } from './finding.ts';
import { LABELS } from '../names.ts';
import { refuseIgnored, standardModeName } from '../serving/serving-mode.ts';

const POLL_MS = 250;

export async function checkOperators(context: CheckContext): Promise<Finding[]> {
  const { api } = context;
  const checks: [string, string, string, (context: CheckContext) => Promise<Finding | Finding[]>][] = [
    ['ray.io/v1', 'RayJob', 'KubeRay', checkKubeRay],
    ['trainer.kubeflow.org/v1alpha1', 'TrainJob', 'Kubeflow Trainer', checkTrainer],
    ['jobset.x-k8s.io/v1alpha2', 'JobSet', 'JobSet', checkJobSet],
    ['serving.kserve.io/v1beta1', 'InferenceService', 'KServe', checkKServe],
  ];
  const ignored = runCheck('serving', async () => {
    await refuseIgnored(api, context.config.serving);
    return [];
  });
  const findings = await Promise.all([
    ...checks.map(([apiVersion, kind, operator, check]) =>
      runCheck(operator, async () => ((await api.has(apiVersion, kind)) ? check(context) : [])),
    ),
    ignored,
  ]);
  return findings.flat();
}

const rayJobSchema = z.object({
  status: z.object({ jobDeploymentStatus: z.string().default('') }).prefault({}),
});

/** A RayJob without a cluster is invalid, which KubeRay records in its status. */
async function checkKubeRay({ api, config, operatorWithinMs }: CheckContext): Promise<Finding> {
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
    `it has not processed a RayJob within ${operatorWithinMs / 1_000} s; check that its operator runs and watches the namespace ` +
      `"${config.namespace}"`,
  );
}

/**
 * Trainer's webhook refuses a TrainJob with an unknown runtime. A dry run therefore shows whether the project's
 * ClusterTrainingRuntime exists, which only an administrator may read.
 */
async function checkTrainer(context: CheckContext): Promise<Finding[]> {
  const { runtime } = context.config.jobs.training;
  if (!(await isRefused(context, 'trainjobs', trainJob('shelfcast-doctor-no-such-runtime')))) {
    return [
      wrong(
        'Kubeflow Trainer',
        'a TrainJob without a runtime is not refused; check that its controller manager runs and its webhook is registered',
      ),
    ];
  }
  const what = `ClusterTrainingRuntime ${runtime}`;
  const isMissing = await isRefused(context, 'trainjobs', trainJob(runtime));
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
async function checkJobSet(context: CheckContext): Promise<Finding> {
  const probe = {
    apiVersion: 'jobset.x-k8s.io/v1alpha2',
    kind: 'JobSet',
    metadata: { name: 'shelfcast-doctor' },
    spec: {
      suspend: true,
      replicatedJobs: [{ name: 'node', template: { spec: { template: { spec: emptyPod('node') } } } }],
    },
  };
  const made = await dryRun(context, 'jobsets', probe);
  const isCompleted = jobSetSchema
    .parse(made)
    .spec.replicatedJobs.every(({ template }) => template.spec.completionMode === 'Indexed');
  return isCompleted
    ? ok('JobSet works')
    : wrong(
        'JobSet',
        'a JobSet is not completed; check that its controller manager runs and its webhook is registered',
      );
}

const inferenceServiceSchema = z.object({
  metadata: z.object({ annotations: z.record(z.string(), z.string()).default({}) }),
});
const MODE = 'serving.kserve.io/deploymentMode';

/** KServe's webhooks refuse a maximum below the minimum, and set the mode of a service that names none. */
async function checkKServe(context: CheckContext): Promise<Finding> {
  const probe = (replicas: object) => ({
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    metadata: { name: 'shelfcast-doctor' },
    spec: { predictor: { ...replicas, containers: emptyPod('kserve-container').containers } },
  });
  if (!(await isRefused(context, 'inferenceservices', probe({ minReplicas: 2, maxReplicas: 1 })))) {
    return wrong(
      'KServe',
      'an InferenceService with a maximum of replicas below its minimum is not refused; check that its controller manager runs and its ' +
        'webhooks are registered',
    );
  }
  const made = inferenceServiceSchema.parse(await dryRun(context, 'inferenceservices', probe({})));
  const defaultMode = made.metadata.annotations[MODE] ?? 'Knative';
  const mode = await standardModeName(context.api);
  return ok(
    `KServe works; versions are deployed in mode ${mode}, services that name none in mode ${defaultMode}`,
  );
}

const emptyPod = (name: string) => ({
  restartPolicy: 'Never',
  containers: [{ name, image: 'shelfcast-doctor' }],
});

async function isRefused(context: CheckContext, resource: string, object: ObjectReference): Promise<boolean> {
  try {
    await dryRun(context, resource, object);
    return false;
  } catch (error) {
    if (isRefusedByWebhook(error)) return true;
    throw error;
  }
}

/** Returns the object as the API server would store it; nothing is created. */
async function dryRun(
  { connection, config }: CheckContext,
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
