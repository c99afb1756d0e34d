/** The commands of the weekly schedule. */
import { print } from './output.ts';
import type { Connect } from './with-shelfcast.ts';
import type { InputOptions } from './run-input.ts';
import { inputOf, updateInputOf } from './run-input.ts';
import { withShelfcast } from './with-shelfcast.ts';

export async function createSchedule(
  connect: Connect,
  { cron, update = false, ...options }: InputOptions & { cron: string; update?: boolean },
): Promise<void> {
  // The input is checked before anything is connected.
  if (update) {
    const input = updateInputOf(options);
    printJson(await withShelfcast(connect, ({ schedules }) => schedules.createUpdate(input, cron)));
  } else {
    const input = inputOf(options);
    printJson(await withShelfcast(connect, ({ schedules }) => schedules.create(input, cron)));
  }
}

export async function changeSchedule(
  connect: Connect,
  action: 'show' | 'trigger' | 'pause' | 'resume' | 'delete',
  model: string,
): Promise<void> {
  const state = await withShelfcast(connect, async ({ schedules }) => schedules[action](model));
  if (state === undefined) print(`schedule of ${model}: ${action} done`);
  else printJson(state);
}

function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}
