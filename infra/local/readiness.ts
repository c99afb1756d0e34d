/** Probes of the services, and the wait until one passes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { acceptsConnections } from './ports.ts';
import { withDatabase } from '../database.ts';
import { describeError } from '../error-text.ts';
import { HttpService, withoutLogin } from '../http.ts';
import type { LocalState } from './state.ts';
import { logTail, programStates } from './supervisor.ts';

const POLL_MS = 150;

/** Probe of a service. @throws Error with the reason while the service cannot be used */
export type Probe = () => Promise<void>;

export const answersHttp =
  (
    name: string,
    url: string,
    path: string,
    { token, timeoutMs = 5_000 }: { token?: string | undefined; timeoutMs?: number } = {},
  ): Probe =>
  async () => {
    await getText(new HttpService({ name, url, token }), path, timeoutMs);
  };

async function getText(service: HttpService, path: string, timeoutMs: number): Promise<string> {
  const answer = await service.send('GET', path, { timeoutMs });
  if (!answer.ok) throw service.unexpectedAnswer(`GET ${path}`, answer);
  return answer.text;
}

const LIVING_NODES_PATH = '/api/v0/nodes?filter_keys=state&filter_predicates=%3D&filter_values=ALIVE';

/** Probe of Ray: its dashboard answers before a node can run jobs. */
export const hasRayNode =
  (address: string, token: string | undefined): Probe =>
  async () => {
    const ray = new HttpService({ name: 'Ray', url: address, token });
    const text = await getText(ray, LIVING_NODES_PATH, 5_000);
    const nodes = rayNodes.parse(JSON.parse(text)).data.result.total;
    if (nodes === 0) throw new Error(`Ray at ${ray.url} has no node yet`);
  };
const rayNodes = z.object({ data: z.object({ result: z.object({ total: z.int() }) }) });

export const answersTcp =
  (host: string, port: number): Probe =>
  async () => {
    if (!(await acceptsConnections(host, port)))
      throw new Error(`nothing accepts connections at ${host}:${port}`);
  };

export const answersSql =
  (url: string): Probe =>
  async () => {
    await withDatabase(url, (client) => client.query('select 1'));
  };

/** Probe of a program without an address: supervisord reports that it stays alive. */
export const isRunning =
  (state: LocalState, name: string): Probe =>
  async () => {
    const program = (await programStates(state)).get(name);
    if (program?.state !== 'RUNNING')
      throw new Error(`it is ${program?.state ?? 'not known to supervisord'}`);
  };

/** Waits until the local program's probe passes. @throws Error when supervisord has given up the program or the time is over */
export async function waitUntilReady(
  state: LocalState,
  name: string,
  probe: Probe,
  timeoutMs: number,
): Promise<void> {
  const begin = Date.now();
  for (;;) {
    const reason = await failureOf(probe);
    if (reason === null) return;
    const waitedMs = Date.now() - begin;
    const program = (await programStates(state)).get(name);
    const gaveUp = program === undefined || program.state === 'FATAL';
    if (gaveUp || waitedMs > timeoutMs) {
      const is = program === undefined ? 'it is not running' : `it is ${program.state} (${program.detail})`;
      throw new Error(
        `${name} did not become ready within ${Math.round(waitedMs / 1000)} s: ${reason}; ${is}. ` +
          `The last lines of ${state.logsDir}/${name}.log:\n${logTail(state, name)}`,
      );
    }
    await sleep(POLL_MS);
  }
}

/** Probes a service that runs elsewhere once. */
export async function checkReachable(
  name: string,
  { address, variable }: { address: string; variable: string },
  probe: Probe,
): Promise<void> {
  const reason = await failureOf(probe);
  if (reason === null) return;
  // The address of Temporal is no URL.
  const shown = URL.canParse(address) ? withoutLogin(address) : address;
  throw new Error(`${name} does not answer at ${shown}: ${reason}; start it or correct ${variable}`);
}

async function failureOf(probe: Probe): Promise<string | null> {
  try {
    await probe();
    return null;
  } catch (error) {
    return describeError(error);
  }
}
