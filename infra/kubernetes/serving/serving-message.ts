/** Explanation of why a version does not become ready, from KServe's status, its pods and their events. */
import { z } from 'zod';
import type { KubernetesEvent } from '../api.ts';
import type { Pod } from '../pod-trouble.ts';
import { oneSentence, whyPending } from '../pod-trouble.ts';

const conditionSchema = z.object({
  type: z.string(),
  status: z.string(),
  reason: z.string().default(''),
  message: z.string().default(''),
});

const failureSchema = z.object({ reason: z.string().default(''), message: z.string().default('') });

/** Fields of an InferenceService that are read. */
export const inferenceServiceSchema = z.object({
  metadata: z.object({
    name: z.string(),
    uid: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
    deletionTimestamp: z.string().optional(),
  }),
  status: z
    .object({
      deploymentMode: z.string().default(''),
      conditions: z.array(conditionSchema).default([]),
      modelStatus: z
        .object({ transitionStatus: z.string().default(''), lastFailureInfo: failureSchema.prefault({}) })
        .prefault({}),
    })
    .prefault({}),
});
export type InferenceService = z.output<typeof inferenceServiceSchema>;

export const isPredictorReady = ({ status }: InferenceService): boolean =>
  status.conditions.some(({ type, status: value }) => type === 'PredictorReady' && value === 'True');

/**
 * Returns one sentence, without a full stop.
 * @param events Events of the pods, oldest first.
 */
export function whyNotReady(
  { status: { modelStatus, conditions } }: InferenceService,
  pods: readonly Pod[],
  events: readonly KubernetesEvent[],
): string {
  const { transitionStatus, lastFailureInfo } = modelStatus;
  if (transitionStatus === 'InvalidSpec') {
    return oneSentence(`KServe cannot run it (${lastFailureInfo.reason}): ${lastFailureInfo.message}`);
  }
  const ofPods = howPredictorEnded(pods) || whyPending(pods, events);
  if (ofPods !== '') return ofPods;
  // The pod could not be created at all (quota, policy).
  const refused = conditions.find(({ type, status }) => type === 'PredictorReady' && status === 'False');
  if (refused !== undefined && refused.message !== '')
    return oneSentence(`KServe reports ${refused.reason}: ${refused.message}`);
  return pods.length === 0 ? 'it has no pod yet' : 'its pods are starting';
}

/** Kubernetes restarts a failed container again and again; the last line of its log says what is wrong. */
function howPredictorEnded(pods: readonly Pod[]): string {
  const statuses = pods.flatMap(({ status }) => [
    ...(status?.initContainerStatuses ?? []),
    ...(status?.containerStatuses ?? []),
  ]);
  for (const { name, ready, state, lastState } of statuses) {
    const end = state?.terminated ?? lastState?.terminated;
    if (ready || end === undefined || end.exitCode === 0) continue;
    const lastLine = end.message?.trim().split('\n').at(-1) ?? '';
    const why = [end.reason === 'Error' ? '' : end.reason, lastLine].filter(Boolean).join(': ');
    return oneSentence(
      `container ${name} ended with exit code ${end.exitCode}${why === '' ? '' : `: ${why}`}`,
    );
  }
  return '';
}
