/** Connection to Temporal for one command. */
import type { AnyHandle, Shelfcast } from '../client/client.ts';
import { ShelfcastError } from '../client/shelfcast-error.ts';

/** Connects to Temporal; tests pass their own client. */
export type Connect = () => Promise<Shelfcast>;

export async function withShelfcast<T>(
  connect: Connect,
  work: (shelfcast: Shelfcast) => Promise<T>,
): Promise<T> {
  const shelfcast = await connect();
  try {
    return await work(shelfcast);
  } finally {
    await shelfcast.close();
  }
}

/** @throws ShelfcastError `NotFound` when no run of the model is in progress */
export function withCurrentRun<T>(
  connect: Connect,
  model: string,
  work: (run: AnyHandle) => Promise<T>,
): Promise<T> {
  return withShelfcast(connect, async (shelfcast) => {
    const run = await shelfcast.currentRun(model);
    if (run === null)
      throw new ShelfcastError(
        'NotFound',
        `no run of ${model} is in progress: start one with \`npx shelfcast run\``,
      );
    return work(run);
  });
}
