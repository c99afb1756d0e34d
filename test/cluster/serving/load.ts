/** Forecast requests without end, and who answered them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { raw } from '../../predictor/requests.ts';

const BODY = JSON.stringify({ instances: [{ store: 1, dept: 3, horizon: 1, features: raw() }] });

export interface Reply {
  /** 0 when no answer came. */
  status: number;
  version: string | null;
  /** Milliseconds since the load began. */
  atMs: number;
  text: string;
}

/** Sends one request to the version whose turn it is. */
export async function ask(url: string, modelName = 'sales-forecast'): Promise<Omit<Reply, 'atMs'>> {
  try {
    const response = await fetch(`${url}/v1/models/${modelName}:predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: BODY,
    });
    const text = await response.text();
    return { status: response.status, version: response.headers.get('x-shelfcast-version'), text };
  } catch (error) {
    return { status: 0, version: null, text: String((error as Error).cause ?? error) };
  }
}

export interface Load {
  /** All replies until now. */
  replies: readonly Reply[];
  /** Milliseconds between an answer and the client's next request. */
  pauseMs: number;
  stop(): Promise<void>;
}

/** Several clients, each of which asks again when it has its answer. */
export function startLoad(url: string, clients: number, pauseMs = 0): Load {
  const replies: Reply[] = [];
  const begin = performance.now();
  let running = true;
  const load: Load = {
    replies,
    pauseMs,
    stop: async () => {
      running = false;
      await Promise.all(all);
    },
  };
  const client = async (): Promise<void> => {
    while (running) {
      replies.push({ ...(await ask(url)), atMs: Math.round(performance.now() - begin) });
      if (load.pauseMs > 0) await sleep(load.pauseMs);
    }
  };
  const all = Array.from({ length: clients }, client);
  return load;
}

export const failures = <T extends { status: number }>(replies: readonly T[]): T[] =>
  replies.filter(({ status }) => status !== 200);

export const countByVersion = (replies: readonly Pick<Reply, 'version'>[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { version } of replies) counts[version ?? 'none'] = (counts[version ?? 'none'] ?? 0) + 1;
  return counts;
};
