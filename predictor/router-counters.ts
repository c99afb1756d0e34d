/** Requests and failures by version since the router started. */
import { Counter, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { Routes } from '../contracts/routes.ts';

interface VersionCount {
  version: number;
  /** Requests sent to the version, including those that could not reach it. */
  requests: number;
  /** Requests without an answer, or with a status of 500 or above. */
  failures: number;
}

export class RouterCounters {
  readonly registry = new Registry();
  readonly #counts = new Map<string, { requests: number; failures: number }>();
  readonly #requests: Counter<'model' | 'version' | 'status'>;
  readonly #failovers: Counter<'model' | 'version'>;
  readonly #seconds: Histogram<'model' | 'version'>;

  constructor() {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    this.#requests = new Counter({
      name: 'shelfcast_router_requests_total',
      help: 'Requests sent to a version by HTTP status; "unreachable" when no answer came',
      labelNames: ['model', 'version', 'status'],
      registers,
    });
    this.#failovers = new Counter({
      name: 'shelfcast_router_failovers_total',
      help: 'Requests that another version answered because this one could not be reached',
      labelNames: ['model', 'version'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'shelfcast_router_request_seconds',
      help: 'Time until a version began to answer',
      labelNames: ['model', 'version'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
  }

  /** @param status HTTP status of the answer, 0 when there was none */
  count(model: string, version: number, status: number, failed: boolean, seconds: number): void {
    const key = `${model}/${version}`;
    const count = this.#counts.get(key) ?? { requests: 0, failures: 0 };
    count.requests += 1;
    if (failed) count.failures += 1;
    this.#counts.set(key, count);
    const labels = { model, version: String(version) };
    this.#requests.inc({ ...labels, status: status === 0 ? 'unreachable' : String(status) });
    this.#seconds.observe(labels, seconds);
  }

  failover(model: string, version: number): void {
    this.#failovers.inc({ model, version: String(version) });
  }

  /** Returns the counts by model, for the versions in the current routes. */
  all(routes: Routes): { models: Record<string, VersionCount[]> } {
    const models = Object.entries(routes.models).map(([model, versions]) => [
      model,
      versions.map(({ version }): VersionCount => {
        const count = this.#counts.get(`${model}/${version}`);
        return { version, requests: count?.requests ?? 0, failures: count?.failures ?? 0 };
      }),
    ]);
    return { models: Object.fromEntries(models) as Record<string, VersionCount[]> };
  }
}
