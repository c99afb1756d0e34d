/** An API server with the objects that a test gives it: enough for reading, listing, and for requests that the test answers itself. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';

export interface FakeAnswer {
  status: number;
  body: object;
}

interface FakeObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
  [field: string]: unknown;
}

/** Plurals that are not the kind's name with an s. */
const PLURALS: Record<string, string> = { SelfSubjectReview: 'selfsubjectreviews', PodMetrics: 'pods' };
const CLUSTER_KINDS = new Set([
  'CustomResourceDefinition',
  'Namespace',
  'StorageClass',
  'ClusterTrainingRuntime',
  'DataScienceCluster',
  'SelfSubjectReview',
  'SelfSubjectAccessReview',
  'SubjectAccessReview',
]);

export const refused = (status: number, reason: string, message: string): FakeAnswer => ({
  status,
  body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, message, code: status },
});
export const forbidden = (what: string): FakeAnswer =>
  refused(403, 'Forbidden', `${what} is forbidden: User "somebody" cannot do that`);

export class FakeCluster {
  /** Kinds that the cluster knows, e.g. `ray.io/v1 RayJob`. */
  readonly kinds = new Set<string>();
  /** Answers by `METHOD path`, which replace those from the objects; a creation is `POST path` without a name. */
  readonly answers = new Map<string, (body: unknown, query: URLSearchParams) => FakeAnswer>();
  readonly requests: string[] = [];
  readonly #objects = new Map<string, FakeObject>();
  readonly #server: Server;
  #port = 0;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<FakeCluster> {
    const cluster = new FakeCluster();
    await new Promise<void>((resolve) => cluster.#server.listen(0, '127.0.0.1', resolve));
    cluster.#port = (cluster.#server.address() as AddressInfo).port;
    return cluster;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get kubeConfig(): KubeConfig {
    const config = new KubeConfig();
    config.loadFromClusterAndUser(
      { name: 'fake', server: this.url, skipTLSVerify: true },
      { name: 'somebody' },
    );
    return config;
  }

  put(...objects: FakeObject[]): void {
    for (const object of objects) {
      this.kinds.add(`${object.apiVersion} ${object.kind}`);
      this.#objects.set(pathOf(object), object);
    }
  }

  /** Gives an object other fields. */
  change(path: string, fields: object): void {
    const object = this.#objects.get(path);
    if (object === undefined) throw new Error(`there is no ${path}`);
    this.#objects.set(path, { ...object, ...fields });
  }

  drop(path: string): void {
    if (!this.#objects.delete(path)) throw new Error(`there is no ${path}`);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '', this.url);
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const key = `${request.method ?? ''} ${pathname}`;
    this.requests.push(key);
    const answer =
      this.answers.get(key)?.(text === '' ? undefined : JSON.parse(text), searchParams) ??
      this.#find(key, pathname);
    response
      .writeHead(answer.status, { 'content-type': 'application/json' })
      .end(JSON.stringify(answer.body));
  }

  #find(key: string, path: string): FakeAnswer {
    const object = this.#objects.get(path);
    if (object !== undefined) {
      if (key.startsWith('DELETE ')) this.#objects.delete(path);
      return { status: 200, body: object };
    }
    const known = [...this.kinds].map((each) => each.split(' ') as [string, string]);
    const resources = known.filter(([apiVersion]) => rootOf(apiVersion) === path);
    if (resources.length > 0)
      return { status: 200, body: { resources: resources.map(([, kind]) => resourceOf(kind)) } };
    const versions = known.filter(([apiVersion]) => `/apis/${apiVersion.split('/')[0] ?? ''}` === path);
    if (versions.length > 0) {
      return {
        status: 200,
        body: { versions: versions.map(([apiVersion]) => ({ version: apiVersion.split('/')[1] })) },
      };
    }
    const items = [...this.#objects].filter(([each]) => each.slice(0, each.lastIndexOf('/')) === path);
    if (items.length > 0) return { status: 200, body: { items: items.map(([, item]) => item) } };
    return refused(404, 'NotFound', `${path} not found`);
  }
}

const rootOf = (apiVersion: string): string =>
  apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;

const resourceOf = (kind: string) => ({
  name: pluralOf(kind),
  kind,
  namespaced: !CLUSTER_KINDS.has(kind),
});

const pluralOf = (kind: string): string =>
  PLURALS[kind] ?? (kind.endsWith('s') ? `${kind.toLowerCase()}es` : `${kind.toLowerCase()}s`);

function pathOf({ apiVersion, kind, metadata }: FakeObject): string {
  const where = CLUSTER_KINDS.has(kind) ? '' : `/namespaces/${metadata.namespace ?? 'shelfcast'}`;
  return `${rootOf(apiVersion)}${where}/${pluralOf(kind)}/${metadata.name}`;
}
