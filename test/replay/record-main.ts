/**
 * `node --import tsx test/replay/record-main.ts RELEASE`: records the histories of a release into histories/RELEASE/.
 * Never records over one that exists: a history that no longer replays asks for `patched()`, not for a new recording.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { startTestEnvironment } from '../workflows/environment.ts';
import { SCENARIOS } from './scenarios.ts';

const [release] = process.argv.slice(2);
if (release === undefined) throw new Error('usage: record-main.ts RELEASE');
const folder = join(import.meta.dirname, 'histories', release);
mkdirSync(folder, { recursive: true });

const environment = await startTestEnvironment();
try {
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    const path = join(folder, `${name}.json`);
    if (existsSync(path)) {
      process.stdout.write(`${path} exists and stays as it is\n`);
      continue;
    }
    const fake = scenario.fake();
    const handle = await environment.withWorker(fake, async (test) => {
      const run = await scenario.run(test, fake.calls);
      await run.result().catch(() => undefined);
      return run;
    });
    writeFileSync(path, JSON.stringify(historyToJSON(await handle.fetchHistory())));
    process.stdout.write(`recorded ${path}\n`);
  }
} finally {
  await environment.stop();
}
