/** The operations on Kubernetes objects that the adapters need, the same for built-in and custom kinds. */
import type { CoreV1Event, KubeConfig } from '@kubernetes/client-node';
import { z } from 'zod';
import type { ApiAnswer, ApiRequest } from './connection.ts';
import { Connection, errorOf, statusOf } from './connection.ts';
import { MissingOperator } from './errors.ts';

const FIELD_MANAGER = 'shelfcast';

export interface ObjectReference {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; resourceVersion?: string };
}

/** An object to create or change. */
export type KubernetesObject = ObjectReference & Record<string, unknown>;

/** An object of the client library's types as the API server sends it: times are text. */
export type AsJson<T> = T extends Date ? string : T extends object ? { [K in keyof T]: AsJson<T[K]> } : T;

export type KubernetesEvent = AsJson<CoreV1Event>;

interface ApiResource {
  name: string;
  kind: string;
  namespaced: boolean;
}

const resourceList = z.object({
  resources: z.array(z.object({ name: z.string(), kind: z.string(), namespaced: z.boolean() })),
});

/**
 * Every method throws KubernetesError (KubernetesConflict for 409) when the API server answers with an error, MissingOperator for a
 * kind that the cluster does not have, and Error with the reason as `cause` when no answer came within 15 s.
 */
export class KubernetesApi {
  readonly namespace: string;
  readonly #connection: Connection;
  readonly #resources = new Map<string, ApiResource>();

  /** @param namespace Namespace of objects that are referenced without one. */
  constructor(kubeConfig: KubeConfig, namespace: string, options: { timeoutMs?: number } = {}) {
    this.namespace = namespace;
    this.#connection = new Connection(kubeConfig, options.timeoutMs);
  }

  /** Whether the cluster has objects of this kind. */
  async has(apiVersion: string, kind: string, signal?: AbortSignal): Promise<boolean> {
    return (await this.#findResource(apiVersion, kind, signal)) !== null;
  }

  /** Returns the object; null when it does not exist. */
  async read<T>(ref: ObjectReference, signal?: AbortSignal): Promise<T | null> {
    const request = await this.#request('reading', 'GET', ref, signal);
    return this.#unlessAbsent(ref, request, await this.#connection.send(request)) as T | null;
  }

  /** Returns the objects of the namespace that match the label selector, e.g. `app=x,part!=y`; '' matches all. */
  async list<T>(apiVersion: string, kind: string, labelSelector: string, signal?: AbortSignal): Promise<T[]> {
    return this.#list<T>(apiVersion, kind, labelSelector === '' ? {} : { labelSelector }, signal);
  }

  /**
   * Server-side apply: creates the object, or sets the fields of `object` and removes fields that only an earlier apply set.
   * Fields of other owners stay. With `metadata.resourceVersion` the object changes only if nobody changed it since it was read.
   */
  async apply<T = unknown>(object: KubernetesObject, signal?: AbortSignal): Promise<T> {
    const request = await this.#request('applying', 'PATCH', object, signal);
    request.query = { fieldManager: FIELD_MANAGER, force: 'true' };
    request.contentType = 'application/apply-patch+yaml';
    request.body = object;
    return this.#parsed(object, request, await this.#connection.send(request)) as T;
  }

  /** Returns the created object; null when one of that name exists, which stays unchanged. */
  async create<T = unknown>(object: KubernetesObject, signal?: AbortSignal): Promise<T | null> {
    const request = await this.#request('creating', 'POST', object, signal);
    request.path = request.path.slice(0, request.path.lastIndexOf('/'));
    request.query = { fieldManager: FIELD_MANAGER };
    request.body = object;
    const answer = await this.#connection.send(request);
    if (answer.status === 409 && statusOf(answer.text)?.reason === 'AlreadyExists') return null;
    return this.#parsed(object, request, answer) as T;
  }

  /**
   * Starts the deletion of the object and everything that it owns. A missing object is no error. With
   * `metadata.resourceVersion` the object is deleted only if nobody changed it since it was read.
   * @param propagation Foreground: the object stays until everything that it owns is gone. Background: the object goes first.
   */
  async remove(
    ref: ObjectReference,
    signal?: AbortSignal,
    propagation: 'Foreground' | 'Background' = 'Foreground',
  ): Promise<void> {
    const request = await this.#request('removing', 'DELETE', ref, signal);
    const { resourceVersion } = ref.metadata;
    request.body = {
      propagationPolicy: propagation,
      ...(resourceVersion === undefined ? {} : { preconditions: { resourceVersion } }),
    };
    this.#unlessAbsent(ref, request, await this.#connection.send(request));
  }

  /** Returns the last lines of a container's output; '' when it does not exist or has not started. */
  async podLog(pod: string, container: string, tailLines: number, signal?: AbortSignal): Promise<string> {
    const ref = { apiVersion: 'v1', kind: 'Pod', metadata: { name: pod } };
    const request = await this.#request(`reading the log of ${container} of`, 'GET', ref, signal);
    request.path += '/log';
    request.query = { container, tailLines: String(tailLines) };
    const answer = await this.#connection.send(request);
    // 400: the container waits to start.
    if (answer.status === 404 || answer.status === 400) return '';
    if (answer.status >= 300) throw errorOf(request.operation, answer);
    return answer.text;
  }

  /** Returns the events of the objects with these names or UIDs, oldest first. Kubernetes deletes events after an hour. */
  async eventsOf(
    by: 'name' | 'uid',
    values: readonly string[],
    signal?: AbortSignal,
  ): Promise<KubernetesEvent[]> {
    const lists = await Promise.all(
      values.map((value) =>
        this.#list<KubernetesEvent>(
          'v1',
          'Event',
          { fieldSelector: `involvedObject.${by}=${value}` },
          signal,
        ),
      ),
    );
    return lists.flat().sort((a, b) => timeOf(a) - timeOf(b));
  }

  async #list<T>(
    apiVersion: string,
    kind: string,
    query: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<T[]> {
    const resource = await this.#resource(apiVersion, kind, signal);
    const selector = Object.values(query).join();
    const request: ApiRequest = {
      operation: `listing ${kind}s${selector === '' ? '' : ` with ${selector}`}${this.#where(resource, this.namespace)}`,
      method: 'GET',
      path: pathOf(apiVersion, resource, this.namespace),
      query,
      signal,
    };
    const answer = await this.#connection.send(request);
    const reference = { apiVersion, kind, metadata: { name: '' } };
    const { items } = this.#parsed(reference, request, answer) as { items: T[] };
    // The API server omits apiVersion and kind in lists of built-in objects.
    return items.map((item) => ({ apiVersion, kind, ...item }));
  }

  async #request(
    verb: string,
    method: ApiRequest['method'],
    { apiVersion, kind, metadata }: ObjectReference,
    signal: AbortSignal | undefined,
  ): Promise<ApiRequest> {
    const resource = await this.#resource(apiVersion, kind, signal);
    const namespace = metadata.namespace ?? this.namespace;
    return {
      operation: `${verb} ${kind} "${metadata.name}"${this.#where(resource, namespace)}`,
      method,
      path: `${pathOf(apiVersion, resource, namespace)}/${encodeURIComponent(metadata.name)}`,
      signal,
    };
  }

  #where(resource: ApiResource, namespace: string): string {
    return resource.namespaced ? ` in namespace "${namespace}"` : '';
  }

  #unlessAbsent(ref: ObjectReference, request: ApiRequest, answer: ApiAnswer): unknown {
    if (answer.status === 404 && statusOf(answer.text) !== null) return null;
    return this.#parsed(ref, request, answer);
  }

  #parsed({ apiVersion, kind }: ObjectReference, { operation }: ApiRequest, answer: ApiAnswer): unknown {
    if (answer.status < 300) return JSON.parse(answer.text);
    if (answer.status === 404 && statusOf(answer.text) === null) {
      // No API serves the path any more: someone removed the operator.
      this.#resources.delete(`${apiVersion}/${kind}`);
      throw new MissingOperator(apiVersion, kind);
    }
    throw errorOf(operation, answer);
  }

  async #resource(apiVersion: string, kind: string, signal?: AbortSignal): Promise<ApiResource> {
    const resource = await this.#findResource(apiVersion, kind, signal);
    if (resource === null) throw new MissingOperator(apiVersion, kind);
    return resource;
  }

  /** Reads the kind from the API server, once for each kind that the cluster has. */
  async #findResource(apiVersion: string, kind: string, signal?: AbortSignal): Promise<ApiResource | null> {
    const key = `${apiVersion}/${kind}`;
    const known = this.#resources.get(key);
    if (known !== undefined) return known;
    const operation = `asking for the kinds of ${apiVersion}`;
    const answer = await this.#connection.send({
      operation,
      method: 'GET',
      path: rootOf(apiVersion),
      signal,
    });
    if (answer.status === 404) return null;
    if (answer.status >= 300) throw errorOf(operation, answer);
    const { resources } = resourceList.parse(JSON.parse(answer.text));
    // `jobs/status` is of kind Job too.
    const resource = resources.find((each) => each.kind === kind && !each.name.includes('/')) ?? null;
    if (resource !== null) this.#resources.set(key, resource);
    return resource;
  }
}

const rootOf = (apiVersion: string): string =>
  apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;

const pathOf = (apiVersion: string, { name, namespaced }: ApiResource, namespace: string): string =>
  `${rootOf(apiVersion)}${namespaced ? `/namespaces/${encodeURIComponent(namespace)}` : ''}/${name}`;

/** Time of the event's last occurrence, in milliseconds since 1970. */
export const timeOf = ({ lastTimestamp, eventTime, metadata }: KubernetesEvent): number =>
  Date.parse(lastTimestamp ?? eventTime ?? metadata.creationTimestamp ?? '');
