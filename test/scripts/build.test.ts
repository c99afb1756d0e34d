/** The build that programs start from: made once for each state of the sources, never stale, never half written. */
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PROJECT_DIR } from '../platform.ts';

describe('a program started from its bundle', { timeout: 60_000 }, () => {
  let project: string;
  beforeEach(() => {
    project = mkdtempSync(join(tmpdir(), 'shelfcast-build-'));
    for (const file of ['scripts/build.mjs', 'scripts/run.mjs', 'package-lock.json'])
      cpSync(join(PROJECT_DIR, file), join(project, file));
    symlinkSync(join(PROJECT_DIR, 'node_modules'), join(project, 'node_modules'));
    for (const folder of ['workers', 'contracts']) mkdirSync(join(project, folder));
    write('contracts/name.ts', `export const NAME: string = 'one';`);
    write('workers/main.ts', `import { NAME } from '../contracts/name.ts';\nconsole.log(NAME);`);
  });
  afterEach(() => {
    rmSync(project, { recursive: true });
  });
  const write = (file: string, text: string): void => {
    writeFileSync(join(project, file), text);
  };
  const run = () => execa('node', ['scripts/run.mjs', 'workers/main.ts'], { cwd: project, reject: false });
  const builds = () => readdirSync(join(project, 'dist'));
  /** Makes the only build two days old and returns its path. */
  const age = (): string => {
    const [name = ''] = builds();
    const path = join(project, 'dist', name);
    const twoDaysAgo = Date.now() / 1000 - 2 * 86_400;
    utimesSync(path, twoDaysAgo, twoDaysAgo);
    return path;
  };

  test('is built once, also by processes that start at the same time', async () => {
    const outputs = await Promise.all([run(), run(), run()]);
    expect(outputs.map(({ stdout }) => stdout)).toEqual(['one', 'one', 'one']);
    expect(builds()).toHaveLength(1);
    await run();
    expect(builds()).toHaveLength(1);
  });

  test('is built anew when a source, the lock file or the build itself changes', async () => {
    await run();
    write('contracts/name.ts', `export const NAME: string = 'two';`);
    expect((await run()).stdout).toBe('two');
    write('package-lock.json', '{}');
    await run();
    expect(builds()).toHaveLength(3);
  });

  test('finds files beside its source, and names the source in a stack trace', async () => {
    write(
      'workers/main.ts',
      [
        `type Unused = string;`,
        `console.log(import.meta.dirname, import.meta.url);`,
        `throw new Error('planted');`,
      ].join('\n'),
    );
    const { stdout, stderr, exitCode } = await run();
    expect(stdout).toBe(`${project}/workers file://${project}/workers/main.ts`);
    expect(stderr).toContain(`${project}/workers/main.ts:3`);
    expect(exitCode).toBe(1);
  });

  test('leaves nothing of a build that failed, and says how to run without one', async () => {
    write('contracts/name.ts', 'export const NAME = ;');
    const { stderr, exitCode } = await run();
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/cannot build dist.*name\.ts:1.*Unexpected ";".*node --import tsx cli\/main\.ts/s);
    expect(builds()).toEqual([]);
  });

  test('removes builds that are older than a day and that no process uses', async () => {
    await run();
    const old = age();
    write('contracts/name.ts', `export const NAME: string = 'two';`);
    await run();
    expect(existsSync(old)).toBe(false);
    expect(builds()).toHaveLength(1);
  });

  test('keeps an old build while a process lives that was started from it, and may load more of it', async () => {
    write('contracts/late.ts', `export const LATE: string = 'late';`);
    write(
      'workers/main.ts',
      [
        `console.log('ready');`,
        `process.stdin.once('data', async () => console.log((await import('../contracts/late.ts')).LATE));`,
      ].join('\n'),
    );
    const living = execa('node', ['scripts/run.mjs', 'workers/main.ts'], { cwd: project });
    await once(living.stdout, 'data');
    const old = age();
    write('workers/main.ts', '');
    await run();
    living.stdin.end('go on');
    expect((await living).stdout).toBe('ready\nlate');
    expect(existsSync(old)).toBe(true);

    write('workers/main.ts', ';');
    await run();
    expect(existsSync(old)).toBe(false);
  });
});

test('`shelfcast --help` loads no package but commander', { timeout: 60_000 }, async () => {
  const hooks = `
    import { writeSync } from 'node:fs';
    export const resolve = (specifier, context, next) => {
      if (!/^(node:|file:|data:|[./])/.test(specifier)) writeSync(2, 'loads ' + specifier + '\\n');
      return next(specifier, context);
    };`;
  const data = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
  const register = data(`import { register } from 'node:module'; register(${JSON.stringify(data(hooks))});`);
  const help = () => execa('node', ['--import', register, join(PROJECT_DIR, 'cli/shelfcast.mjs'), '--help']);
  // The first start may build, which loads esbuild.
  await help();
  const { stdout, stderr } = await help();
  expect(stdout).toContain('Usage: shelfcast');
  expect(stderr.split('\n')).toEqual(['loads commander']);
});
