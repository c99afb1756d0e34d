import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROJECT_DIR } from '../platform.ts';

/** A clone whose node_modules were made from another package-lock.json. */
let clone: string;
beforeAll(() => {
  clone = mkdtempSync(join(tmpdir(), 'shelfcast-clone-'));
  for (const name of ['cli.mjs', 'installation.mjs', 'programs.mjs'])
    cpSync(join(PROJECT_DIR, 'scripts', name), join(clone, 'scripts', name));
  mkdirSync(join(clone, 'cli'));
  writeFileSync(join(clone, 'cli/shelfcast.mjs'), 'console.log(`ran ${process.argv.slice(2)}`);');
  writeFileSync(join(clone, 'package-lock.json'), '{}');
  mkdirSync(join(clone, 'node_modules/in-use'), { recursive: true });
});
afterAll(() => {
  rmSync(clone, { recursive: true });
});

/** Runs it where there is no npm to install with. */
const run = (command: string) =>
  execa(process.execPath, [join(clone, 'scripts/cli.mjs'), command], { env: { PATH: clone }, reject: false });

test('stopping installs nothing, because the programs that run are loaded from node_modules', async () => {
  expect(await run('stop')).toMatchObject({ exitCode: 0, stdout: 'ran stop' });
  expect(existsSync(join(clone, 'node_modules/in-use'))).toBe(true);
});

test('starting installs first', async () => {
  const started = await run('start');
  expect(started).toMatchObject({ exitCode: 1, stdout: '' });
  expect(started.stderr).toContain('npm ci failed');
});
