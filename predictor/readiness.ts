/** Readiness of the predictor: the database answers. The model has run before the server listens. */
import type pg from 'pg';

const CHECK_TIMEOUT_MS = 2_000;
/** Shortest time between two queries to the database, however often readiness is read. */
const CHECK_INTERVAL_MS = 1_000;

interface ReadinessState {
  ready: boolean;
  /** Reason for not being ready, one sentence; empty when ready. */
  reason: string;
}

export interface Readiness {
  check(): Promise<ReadinessState>;
  /** Reports not ready from now on, because the process is about to end. */
  drain(): void;
}

async function askDatabase(pool: pg.Pool): Promise<ReadinessState> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer within ${CHECK_TIMEOUT_MS} ms`));
    }, CHECK_TIMEOUT_MS);
  });
  const query = pool.query('select 1');
  try {
    await Promise.race([query, timeout]);
    return { ready: true, reason: '' };
  } catch (error) {
    query.catch(() => undefined);
    const { message, code } = error as { message: string; code?: string };
    return {
      ready: false,
      reason: `The database of the features does not answer: ${message === '' ? (code ?? 'no reason given') : message}.`,
    };
  } finally {
    clearTimeout(timer);
  }
}

export function createReadiness(pool: pg.Pool): Readiness {
  let draining = false;
  let askedAt = -Infinity;
  let latest: Promise<ReadinessState> | undefined;
  return {
    check() {
      if (draining) return Promise.resolve({ ready: false, reason: 'The server is ending.' });
      const now = performance.now();
      if (latest === undefined || now - askedAt >= CHECK_INTERVAL_MS) {
        askedAt = now;
        latest = askDatabase(pool);
      }
      return latest;
    },
    drain() {
      draining = true;
    },
  };
}
