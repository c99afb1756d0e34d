/** Connects for the time of one command. */
import type { AnyHandle, Shelfcast } from '../client/client.ts';
import { PipelineError } from '../client/pipeline-error.ts';

/** Connects to Temporal; tests hand in a client of their own. */
export type Connect = () => Promise<Shelfcast>;

export async function withClient<T>(
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

/** @throws PipelineError `NotFound` when no run of the model is in progress */
export function withCurrentRun<T>(
  connect: Connect,
  model: string,
  work: (run: AnyHandle) => Promise<T>,
): Promise<T> {
  return withClient(connect, async (shelfcast) => {
    const run = await shelfcast.runningPipeline(model);
    if (run === null) throw new PipelineError('NotFound', `no run of ${model} is in progress`);
    return work(run);
  });
}
