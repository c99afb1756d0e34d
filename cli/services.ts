/** The commands start, stop and status, for the services on this machine. */
import type { Shelfcast } from '../client/client.ts';
import { ShelfcastError } from '../client/shelfcast-error.ts';
import { readLocalConfig } from '../config/environment.ts';
import { refreshEndpoints, startServices, stopServices } from '../infra/local/services.ts';
import { EXIT_CODES } from './exit-codes.ts';
import { approvalMessage } from './follow.ts';
import { print, printProgress } from './output.ts';
import type { Connect } from './with-shelfcast.ts';
import type { InputOptions } from './run-input.ts';
import { inputOf } from './run-input.ts';
import { runOnce } from './run-once.ts';
import { withShelfcast } from './with-shelfcast.ts';

/** Resolves to the exit code. */
export async function start(
  connect: Connect,
  { servicesOnly = false, ...options }: InputOptions & { servicesOnly?: boolean },
): Promise<number> {
  const input = inputOf(options);
  await startServices(readLocalConfig(), printProgress);
  if (servicesOnly) return EXIT_CODES.done;
  const hasInput = Object.keys(options).length > 0;
  return withShelfcast(connect, (shelfcast) => runOnce(shelfcast, input, hasInput));
}

export async function stop(): Promise<void> {
  await stopServices(readLocalConfig());
  print('all services have stopped');
}

export async function printStatus(
  connect: Connect,
  { model, json = false }: { model: string; json?: boolean },
): Promise<void> {
  const endpoints = await refreshEndpoints(readLocalConfig());
  if (endpoints === null) {
    throw new ShelfcastError('NotFound', 'no services have been started here: run `npm start`');
  }
  if (json) {
    print(JSON.stringify(endpoints, null, 2));
    return;
  }
  const { pids, ...addresses } = endpoints;
  for (const [name, address] of Object.entries(addresses)) print(`${name.padEnd(12)}${address}`);
  const services = Object.entries(pids).map(([name, pid]) => `${name} (process ${pid})`);
  if (services.length === 0) {
    print('no service is running: run `npm start`');
    return;
  }
  print(`running: ${services.join(', ')}`);
  await withShelfcast(connect, (shelfcast) => printRun(shelfcast, model));
}

/** Prints the current run of the model, its stage, and the commands for a run that waits for approval. */
export async function printRun(shelfcast: Shelfcast, model: string): Promise<void> {
  const run = await shelfcast.currentRun(model);
  if (run === null) return;
  const { stage, waitingFor } = await run.progress();
  print(`the run ${run.workflowId} is ${stage === null ? 'starting' : `in stage ${stage}`}`);
  if (waitingFor === 'approval') print(approvalMessage(model));
}
