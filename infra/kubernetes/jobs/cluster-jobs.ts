/** The JobPlatform port on Kubernetes. Each job is one object, which is created once, never changed, and removed at the end. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobObservation, JobPlatform, JobSpec } from '../../platform.ts';
import type { KubernetesApi, KubernetesEvent, KubernetesObject, ObjectReference } from '../api.ts';
import { timeOf } from '../api.ts';
import { jobLog } from './job-logs.ts';
import { jobObjectName, jobPodSelector, QUEUE_LABEL } from './job-object.ts';
import type { JobState } from './job-state.ts';
import { jobObjectSchema } from './job-state.ts';
import type { Pod } from '../pod-trouble.ts';
import { claimsOf, howFailed, oneSentence, whyPending } from '../pod-trouble.ts';
import { forgetStopped, isMarkedStopped, markStopped } from './stop-mark.ts';

/** A kind of object that runs jobs. */
interface JobKind {
  apiVersion: string;
  kind: string;
  manifest: (job: JobSpec) => KubernetesObject;
  stateOf: (object: unknown) => JobState;
  /** Foreground: the objects that it owns are deleted before it. Background: after it. */
  removal: 'Foreground' | 'Background';
  /** Objects between this one and the pods, outermost first; while one of them exists, pods may appear. */
  intermediates: (name: string) => ObjectReference[];
  /** Names of the objects with events that explain why no pod exists. */
  eventSources: (name: string, object: unknown) => string[];
  /** Name of the container that prints the program's output. */
  logContainer: string;
}

const POLL_MS = 250;
/** Time that the pods of a stopped job may take to end. */
const STOP_TIMEOUT_MS = 120_000;

export class ClusterJobs implements JobPlatform {
  readonly #api: KubernetesApi;
  readonly #kind: JobKind;
  readonly #pendingAfterSeconds: number;

  /** @param pendingAfterSeconds Time after which the observation of a pending job says why it does not run. */
  constructor(api: KubernetesApi, kind: JobKind, pendingAfterSeconds: number) {
    this.#api = api;
    this.#kind = kind;
    this.#pendingAfterSeconds = pendingAfterSeconds;
  }

  async ensure(job: JobSpec, signal: AbortSignal): Promise<void> {
    if (await isMarkedStopped(this.#api, job.name, signal)) return;
    if (!(await this.#isFree(job.name, signal))) return;
    const made = await this.#api.create(this.#kind.manifest(job), signal);
    // `stop` may have run between the check and the creation.
    if (made !== null && (await isMarkedStopped(this.#api, job.name, signal))) {
      await this.#remove(job.name, signal);
    }
  }

  async observe(name: string, signal: AbortSignal): Promise<JobObservation> {
    const object = await this.#api.read(this.#reference(name), signal);
    if (object === null || isBeingRemoved(object)) {
      if (await isMarkedStopped(this.#api, name, signal)) return { status: 'stopped', message: '' };
      const where = `in namespace "${this.#api.namespace}"`;
      return { status: 'unknown', message: `there is no ${this.#kind.kind} ${jobObjectName(name)} ${where}` };
    }
    const state = this.#kind.stateOf(object);
    switch (state.status) {
      case 'suspended':
        return { status: 'pending', message: whySuspended(object) };
      case 'pending':
        return { status: 'pending', message: await this.#whyPending(name, object, signal) };
      case 'failed':
        return { status: 'failed', message: await this.#howFailed(name, state, signal) };
      case 'running':
      case 'succeeded':
      case 'stopped':
        return { status: state.status, message: oneSentence(state.message) };
    }
  }

  async stop(name: string): Promise<void> {
    const object = await this.#api.read(this.#reference(name));
    if (object !== null) {
      if (['succeeded', 'failed', 'stopped'].includes(this.#kind.stateOf(object).status)) return;
      await markStopped(this.#api, name);
      await this.#remove(name);
    }
    await this.#waitUntilGone(name);
  }

  async logs(name: string): Promise<string> {
    return jobLog(this.#api, await this.#pods(name), this.#kind.logContainer);
  }

  async release(name: string): Promise<void> {
    await this.#remove(name);
    await forgetStopped(this.#api, name);
  }

  /** Whether no job of the name exists; waits until the pods of a deleted one are gone. */
  async #isFree(name: string, signal: AbortSignal): Promise<boolean> {
    for (;;) {
      if ((await this.#api.read(this.#reference(name), signal)) !== null) return false;
      if ((await this.#pods(name, signal)).length === 0) return true;
      await sleep(POLL_MS, undefined, { signal });
    }
  }

  #remove(name: string, signal?: AbortSignal): Promise<void> {
    return this.#api.remove(this.#reference(name), signal, this.#kind.removal);
  }

  async #waitUntilGone(name: string): Promise<void> {
    const begin = Date.now();
    for (;;) {
      const left = await this.#remaining(name);
      if (left === '') return;
      if (Date.now() - begin > STOP_TIMEOUT_MS) {
        const object = `${this.#kind.kind} ${jobObjectName(name)}`;
        throw new Error(
          `${object} was deleted, but ${left} still exists after ${STOP_TIMEOUT_MS / 1_000} s: ` +
            'look for a finalizer or a lost node (kubectl describe)',
        );
      }
      await sleep(POLL_MS);
    }
  }

  /** Returns what still exists of the job, from the outermost object inwards; '' when nothing does. */
  async #remaining(name: string): Promise<string> {
    for (const ref of [this.#reference(name), ...this.#kind.intermediates(name)]) {
      if ((await this.#api.read(ref)) !== null) return `${ref.kind} ${ref.metadata.name}`;
    }
    const pods = await this.#pods(name);
    return pods.map((pod) => `pod ${pod.metadata?.name ?? ''}`).join(', ');
  }

  async #whyPending(name: string, object: unknown, signal: AbortSignal): Promise<string> {
    const { creationTimestamp } = jobObjectSchema.parse(object).metadata;
    const ageSeconds = (Date.now() - Date.parse(creationTimestamp)) / 1_000;
    if (ageSeconds < this.#pendingAfterSeconds) return '';
    const pods = await this.#pods(name, signal);
    const sources = [
      ...this.#kind.eventSources(name, object),
      ...pods.map((pod) => pod.metadata?.name ?? ''),
      ...new Set(pods.flatMap(claimsOf)),
    ];
    const events = await this.#api.eventsOf('name', sources, signal);
    return whyPending(pods, events.filter(isSince(creationTimestamp)));
  }

  async #howFailed(name: string, { message }: JobState, signal: AbortSignal): Promise<string> {
    const pod = howFailed(await this.#pods(name, signal));
    return oneSentence([pod, message].filter((part) => part !== '').join('; '));
  }

  #pods(name: string, signal?: AbortSignal): Promise<Pod[]> {
    return this.#api.list<Pod>('v1', 'Pod', jobPodSelector(name), signal);
  }

  #reference(name: string): ObjectReference {
    const { apiVersion, kind } = this.#kind;
    return { apiVersion, kind, metadata: { name: jobObjectName(name) } };
  }
}

const isBeingRemoved = (object: unknown): boolean =>
  jobObjectSchema.parse(object).metadata.deletionTimestamp !== undefined;

function whySuspended(object: unknown): string {
  const queue = jobObjectSchema.parse(object).metadata.labels[QUEUE_LABEL];
  return queue === undefined
    ? 'someone suspended it: set its spec.suspend to false to continue'
    : `queued: Kueue has not admitted it to queue ${queue} yet`;
}

/** Drops events of an earlier object with the same name. */
const isSince =
  (time: string) =>
  (event: KubernetesEvent): boolean =>
    timeOf(event) >= Date.parse(time);
