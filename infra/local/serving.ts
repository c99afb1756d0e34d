/**
 * Serving on one machine: each version is a predictor process under supervisord, behind the weighted router.
 *
 * The adapter has no state. The router's state file holds versions, addresses and weights; supervisord's files hold the processes.
 * These files outlive the worker and the router, and a restart of the machine.
 */
import { join } from 'node:path';
import { readyResponseSchema } from '../../contracts/predict.ts';
import { routesSchema } from '../../contracts/routes.ts';
import type { Route, Routes } from '../../contracts/routes.ts';
import { HttpService } from '../http.ts';
import type { ServedVersion, Serving, VersionState } from '../platform.ts';
import { reweighed, without } from '../traffic-weights.ts';
import { freePort } from './ports.ts';
import type { LocalState } from './state.ts';
import type { Program } from './supervisor-config.ts';
import { ensureProgram, removeProgram } from './supervisor.ts';

const ROUTES_PATH = '/-/routes';
const ROUTER_TIMEOUT_MS = 10_000;
/** A predictor that does not answer in this time counts as not ready. */
const READY_TIMEOUT_MS = 3_000;

export interface LocalServingOptions {
  state: LocalState;
  /** http://host:port of the router, for forecasts and, below /-/, for its admin API. */
  routerUrl: string;
  routerAdminToken: string;
  /** Database from which the predictors read features. */
  databaseUrl: string;
}

const programName = (modelName: string, version: number): string => `predictor-${modelName}-${version}`;

function predictorProgram(options: LocalServingOptions, served: ServedVersion, url: string): Program {
  const { hostname, port } = new URL(url);
  return {
    name: programName(served.modelName, served.version),
    command: [process.execPath, join(options.state.projectDir, 'scripts/run.mjs'), 'predictor/main.ts'],
    directory: options.state.projectDir,
    environment: {
      MODEL_NAME: served.modelName,
      MODEL_VERSION: String(served.version),
      MODEL_URI: served.modelUri,
      MODEL_SHA256: served.modelHash,
      DATABASE_URL: options.databaseUrl,
      HOST: hostname,
      PORT: port,
      // The router follows weights, not readiness, so nothing has to notice the end first.
      DRAIN_MS: '0',
    },
    // Requests in flight take seconds at most.
    stopSeconds: 20,
    priority: 400,
  };
}

/** Client of the router's admin API. */
class RouterAdmin {
  readonly #service: HttpService;

  constructor({ routerUrl, routerAdminToken }: LocalServingOptions) {
    this.#service = new HttpService({
      name: 'the router',
      url: routerUrl,
      token: routerAdminToken,
      advice: '`npx shelfcast status` shows whether it runs',
    });
  }

  async routes(signal?: AbortSignal): Promise<Routes['models']> {
    return routesSchema.parse(await this.#call('GET', undefined, signal)).models;
  }

  async replace(modelName: string, routes: readonly Route[], signal?: AbortSignal): Promise<void> {
    await this.#call('PUT', { models: { [modelName]: routes } }, signal);
  }

  async #call(method: 'GET' | 'PUT', body: unknown, signal?: AbortSignal): Promise<unknown> {
    const answer = await this.#service.send(method, ROUTES_PATH, {
      body,
      signal,
      timeoutMs: ROUTER_TIMEOUT_MS,
    });
    if (!answer.ok) throw this.#service.unexpectedAnswer(`${method} ${ROUTES_PATH}`, answer);
    return JSON.parse(answer.text);
  }
}

/** Whether the address answers as this model and version and reports that it is ready. */
async function isReady(modelName: string, { version, url }: Route): Promise<boolean> {
  try {
    const predictor = new HttpService({ name: `version ${version}`, url });
    const { text } = await predictor.send('GET', '/readyz', { timeoutMs: READY_TIMEOUT_MS });
    const state = readyResponseSchema.parse(JSON.parse(text));
    return state.ready && state.modelName === modelName && state.modelVersion === String(version);
  } catch {
    return false;
  }
}

class LocalServing implements Serving {
  readonly url: string;
  readonly #options: LocalServingOptions;
  readonly #router: RouterAdmin;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: LocalServingOptions) {
    this.url = options.routerUrl;
    this.#options = options;
    this.#router = new RouterAdmin(options);
  }

  /** Runs one change at a time, because a change reads all routes of a model and writes all of them back. */
  #alone<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#last.then(change);
    this.#last = result.catch(() => undefined);
    return result;
  }

  ensureVersion(served: ServedVersion, signal: AbortSignal): Promise<void> {
    return this.#alone(async () => {
      const all = await this.#router.routes(signal);
      const routes = all[served.modelName] ?? [];
      let url = routes.find(({ version }) => version === served.version)?.url;
      if (url === undefined) {
        const ports = Object.values(all).flatMap((others) =>
          others.map((route) => Number(new URL(route.url).port)),
        );
        url = `http://127.0.0.1:${await freePort(new Set(ports))}`;
        // The router keeps the address first, so that a retry after a crash here finds it and continues.
        const route = { version: served.version, url, weightPercent: 0 };
        await this.#router.replace(served.modelName, [...routes, route], signal);
      }
      signal.throwIfAborted();
      await ensureProgram(this.#options.state, predictorProgram(this.#options, served, url));
    });
  }

  async observe(modelName: string): Promise<VersionState[]> {
    const routes = (await this.#router.routes())[modelName] ?? [];
    return Promise.all(
      routes.map(async (route) => ({
        version: route.version,
        ready: await isReady(modelName, route),
        weightPercent: route.weightPercent,
      })),
    );
  }

  setTraffic(modelName: string, weights: ReadonlyMap<number, number>): Promise<void> {
    return this.#alone(async () => {
      const wanted = reweighed(modelName, (await this.#router.routes())[modelName] ?? [], weights);
      await this.#router.replace(modelName, wanted);
      const inForce = (await this.#router.routes())[modelName];
      if (JSON.stringify(inForce) !== JSON.stringify(wanted)) {
        throw new Error(
          `the router has other routes of "${modelName}" than were set: ${JSON.stringify(inForce)} instead of ` +
            `${JSON.stringify(wanted)}; somebody else changed them at the same time. Set the traffic again.`,
        );
      }
    });
  }

  removeVersion(modelName: string, version: number): Promise<void> {
    return this.#alone(async () => {
      const routes = (await this.#router.routes())[modelName] ?? [];
      const others = without(modelName, routes, version);
      if (others.length < routes.length) await this.#router.replace(modelName, others);
      await removeProgram(this.#options.state, programName(modelName, version));
    });
  }
}

export function createLocalServing(options: LocalServingOptions): Serving {
  return new LocalServing(options);
}
