/** Explanations of why pods do not start and how they ended, from their status and events. */
import type { V1ContainerStatus, V1Pod } from '@kubernetes/client-node';
import type { AsJson, KubernetesEvent } from './api.ts';

export type Pod = AsJson<V1Pod>;

/** Waiting reasons of a container that is starting normally. */
const STARTING = new Set(['ContainerCreating', 'PodInitializing']);
const IMAGE_REASON = /Image|Registry/;

const nameOf = (pod: Pod): string => pod.metadata?.name ?? '';

const statusesOf = (pod: Pod): AsJson<V1ContainerStatus>[] => [
  ...(pod.status?.initContainerStatuses ?? []),
  ...(pod.status?.containerStatuses ?? []),
];

/**
 * Returns in one sentence what keeps a job from running; '' when nothing is known.
 * @param events Events of the pods and of the objects that create them, oldest first.
 */
export function whyPending(pods: readonly Pod[], events: readonly KubernetesEvent[]): string {
  for (const pod of pods) {
    const trouble = schedulingTrouble(pod, events) ?? containerTrouble(pod);
    if (trouble !== undefined) return oneSentence(trouble);
  }
  // Only events report a pod that cannot be created (quota, policy) or a volume that cannot be mounted.
  const warning = events.findLast(({ type }) => type === 'Warning');
  if (warning === undefined) return '';
  const { kind = '', name = '' } = warning.involvedObject;
  const pod = pods.find((one) => nameOf(one) === name);
  const trouble = pod && eventTrouble(pod, warning, events);
  return oneSentence(trouble ?? `${kind} ${name}: ${warning.message ?? warning.reason ?? ''}`);
}

/** Sentence on a pod that no node takes, or on a missing image: the event may come before the pod's status says so. */
function eventTrouble(
  pod: Pod,
  { reason, message = '', involvedObject }: KubernetesEvent,
  events: readonly KubernetesEvent[],
): string | undefined {
  if (reason === 'FailedScheduling') return unscheduled(pod, message, events);
  const imageReason = /^Error: (\w+)$/.exec(message)?.[1] ?? '';
  if (!IMAGE_REASON.test(imageReason)) return undefined;
  const { initContainers = [], containers = [] } = pod.spec ?? {};
  const container = [...initContainers, ...containers].find(
    ({ name }) => involvedObject.fieldPath?.endsWith(`{${name}}`) ?? false,
  );
  return container && `the image ${container.image} of pod ${nameOf(pod)} is not available (${imageReason})`;
}

function schedulingTrouble(pod: Pod, events: readonly KubernetesEvent[]): string | undefined {
  const condition = pod.status?.conditions?.find(
    ({ type, status }) => type === 'PodScheduled' && status === 'False',
  );
  if (condition === undefined) return undefined;
  if (condition.reason === 'SchedulingGated') return `pod ${nameOf(pod)} waits for a scheduling gate`;
  return unscheduled(pod, condition.message ?? '', events);
}

function unscheduled(pod: Pod, text: string, events: readonly KubernetesEvent[]): string {
  // The text after the first full stop is about preempting other pods.
  const message = text.replace(/\. .*$/s, '');
  if (message.includes('unbound')) return unboundClaim(pod, message, events);
  const gpus = message.includes('nvidia.com/gpu')
    ? `: no node has the GPUs that it requests (${gpusOf(pod)})`
    : '';
  return `no node takes pod ${nameOf(pod)}${gpus}: ${message}`;
}

function unboundClaim(pod: Pod, message: string, events: readonly KubernetesEvent[]): string {
  const claims = claimsOf(pod);
  const event = events.findLast(
    ({ involvedObject }) =>
      involvedObject.kind === 'PersistentVolumeClaim' && claims.includes(involvedObject.name ?? ''),
  );
  return `pod ${nameOf(pod)} waits for its volume claim ${claims.join(', ')} to be bound: ${event?.message ?? message}`;
}

/** Names of the volume claims that the pod mounts. */
export const claimsOf = (pod: Pod): string[] =>
  (pod.spec?.volumes ?? []).flatMap(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? []);

const gpusOf = (pod: Pod): string =>
  (pod.spec?.containers ?? [])
    .flatMap(({ resources }) => resources?.limits?.['nvidia.com/gpu'] ?? [])
    .map((count) => `${count} nvidia.com/gpu`)
    .join(', ');

function containerTrouble(pod: Pod): string | undefined {
  for (const { name, image, state } of statusesOf(pod)) {
    const { reason = '', message = '' } = state?.waiting ?? {};
    if (reason === '' || STARTING.has(reason)) continue;
    if (IMAGE_REASON.test(reason))
      return `the image ${image} of pod ${nameOf(pod)} is not available (${reason}): ${message}`;
    return `container ${name} of pod ${nameOf(pod)} does not start (${reason}): ${message}`;
  }
  return undefined;
}

/** Returns one sentence on the first container that failed; '' when none did. */
export function howFailed(pods: readonly Pod[]): string {
  const evicted = pods.find(({ status }) => status?.reason === 'Evicted');
  if (evicted !== undefined)
    return oneSentence(`pod ${nameOf(evicted)} was evicted: ${evicted.status?.message ?? ''}`);
  const [first] = pods
    .flatMap((pod) => statusesOf(pod).map(({ name, state }) => ({ pod, name, end: state?.terminated })))
    .filter(({ end }) => end !== undefined && end.exitCode !== 0)
    .sort((a, b) => (a.end?.finishedAt ?? '').localeCompare(b.end?.finishedAt ?? ''));
  if (first?.end === undefined) return '';
  const { exitCode, reason } = first.end;
  const why = reason === undefined || reason === 'Error' ? '' : ` (${reason})`;
  return `container ${first.name} of pod ${nameOf(first.pod)} ended with exit code ${exitCode}${why}`;
}

const MAX_SENTENCE_LENGTH = 400;

/** Text of an operator or a program as one line without the full stop at its end, for progress and error messages. */
export function oneSentence(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim().replace(/\.$/, '');
  return line.length <= MAX_SENTENCE_LENGTH ? line : `${line.slice(0, MAX_SENTENCE_LENGTH - 1)}…`;
}
