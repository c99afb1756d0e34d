/** Requests to a Kubernetes API server: authentication, one pool of connections, a time limit, descriptive errors. */
import type { RequestContext as Request } from '@kubernetes/client-node';
import { HttpMethod, IsomorphicFetchHttpLibrary, KubeConfig, RequestContext } from '@kubernetes/client-node';
import { z } from 'zod';
import { describeError } from '../error-text.ts';
import { KubernetesConflict, KubernetesError } from './errors.ts';

/** An API server that hangs must not hang its clients. */
const REQUEST_TIMEOUT_MS = 15_000;

export interface ApiRequest {
  /** Operation and object, for error messages. */
  operation: string;
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  query?: Record<string, string>;
  contentType?: string;
  body?: object;
  signal?: AbortSignal | undefined;
}

export interface ApiAnswer {
  status: number;
  text: string;
}

const statusObject = z.object({
  kind: z.literal('Status'),
  message: z.string().default(''),
  reason: z.string().default(''),
});

/** Reads the credentials from KUBECONFIG, else ~/.kube/config, else the service account of this pod. */
export function loadKubeConfig(): KubeConfig {
  const kubeConfig = new KubeConfig();
  try {
    kubeConfig.loadFromDefault();
  } catch (cause) {
    throw new Error(`cannot read the kubeconfig: ${(cause as Error).message}; check KUBECONFIG`, { cause });
  }
  // The library falls back to http://localhost:8080, which would hide that no configuration was found.
  const server = kubeConfig.getCurrentCluster()?.server;
  if (server === undefined || server === 'http://localhost:8080') {
    throw new Error(
      'found no Kubernetes cluster: set KUBECONFIG to a file with a current context, or run in a pod with a service account',
    );
  }
  return kubeConfig;
}

export class Connection {
  readonly #kubeConfig: KubeConfig;
  readonly #server: string;
  readonly #timeoutMs: number;
  readonly #http = new IsomorphicFetchHttpLibrary();
  #dispatcher: ReturnType<Request['getDispatcher']>;

  constructor(kubeConfig: KubeConfig, timeoutMs = REQUEST_TIMEOUT_MS) {
    const server = kubeConfig.getCurrentCluster()?.server;
    if (server === undefined) throw new Error('the kubeconfig names no current cluster');
    this.#kubeConfig = kubeConfig;
    this.#server = server.replace(/\/+$/, '');
    this.#timeoutMs = timeoutMs;
  }

  get server(): string {
    return this.#server;
  }

  /** Returns the answer, whatever its status. @throws Error when none comes */
  async send(request: ApiRequest): Promise<ApiAnswer> {
    const timeout = AbortSignal.timeout(this.#timeoutMs);
    try {
      const context = await this.#context(request);
      context.setSignal(request.signal ? AbortSignal.any([request.signal, timeout]) : timeout);
      const response = await this.#http.send(context).toPromise();
      // New credentials may need new connections: a connection keeps the client certificate that opened it.
      if (response.httpStatusCode === 401) this.#dispatcher = undefined;
      return { status: response.httpStatusCode, text: await response.body.text() };
    } catch (cause) {
      request.signal?.throwIfAborted();
      this.#dispatcher = undefined;
      throw new Error(
        `Kubernetes at ${this.#server} did not answer: ${request.operation}: ${describeError(cause)}`,
        { cause },
      );
    }
  }

  async #context(request: ApiRequest): Promise<Request> {
    const context = new RequestContext(`${this.#server}${request.path}`, HttpMethod[request.method]);
    for (const [name, value] of Object.entries(request.query ?? {})) context.setQueryParam(name, value);
    context.setHeaderParam('Accept', 'application/json');
    if (request.body !== undefined) {
      context.setHeaderParam('Content-Type', request.contentType ?? 'application/json');
      context.setBody(JSON.stringify(request.body));
    }
    await this.#kubeConfig.applySecurityAuthentication(context);
    // The library opens a pool of connections for each request; a shared pool saves a TLS handshake each time.
    this.#dispatcher ??= context.getDispatcher();
    if (this.#dispatcher !== undefined) context.setDispatcher(this.#dispatcher);
    return context;
  }
}

/** Returns the error for an answer, with the text of Kubernetes' Status object. */
export function errorOf(operation: string, { status, text }: ApiAnswer): KubernetesError {
  const { message, reason } = statusOf(text) ?? { message: text.slice(0, 1_000).trim(), reason: '' };
  const failure = { operation, status, reason, message };
  return status === 409 ? new KubernetesConflict(failure) : new KubernetesError(failure);
}

/** Returns the Status object of an answer; null when there is none, as for a path that no API serves. */
export function statusOf(text: string): z.infer<typeof statusObject> | null {
  try {
    return statusObject.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
