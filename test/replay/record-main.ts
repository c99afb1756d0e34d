/**
 * `node --import tsx test/replay/record-main.ts RELEASE`: records the histories of a release into histories/RELEASE/.
 * Never records over one that exists: a history that no longer replays asks for `patched()`, not for a new recording.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { ensureTemporal } from '../../infra/local/toolchain.ts';
import { PROJECT_DIR } from '../platform.ts';
import { startTestEnvironment } from '../workflows/environment.ts';
import { SCENARIOS } from './scenarios.ts';

const [release] = process.argv.slice(2);
if (release === undefined) throw new Error('usage: record-main.ts RELEASE');
const folder = join(import.meta.dirname, 'histories', release);
mkdirSync(folder, { recursive: true });

const temporal = await ensureTemporal({ projectDir: PROJECT_DIR }, () => undefined);
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
    const { stdout } = await execa(temporal, [
      ...['workflow', 'show', '--output', 'json', '--address', environment.address],
      ...['--workflow-id', handle.workflowId, '--run-id', handle.firstExecutionRunId],
    ]);
    // Stack traces name the folder; no replay looks at them.
    const history = stdout.replaceAll(PROJECT_DIR, '');
    writeFileSync(path, `${JSON.stringify(JSON.parse(history))}\n`);
    process.stdout.write(`recorded ${path}\n`);
  }
} finally {
  await environment.stop();
}
