import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensurePython, pythonStamp } from '../../infra/local/toolchain.ts';
import { PROJECT_DIR } from '../platform.ts';

let dir: string;
let projectDir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shelfcast-toolchain-'));
  projectDir = join(dir, 'project');
  mkdirSync(join(projectDir, 'ml', 'shelfcast'), { recursive: true });
  for (const file of ['pyproject.toml', 'shelfcast/__init__.py']) {
    cpSync(join(PROJECT_DIR, 'ml', file), join(projectDir, 'ml', file));
  }
  writeFileSync(join(projectDir, 'ml', 'requirements.lock'), smallLock());
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** The lock's entries of the build backend and of one package that needs no other. */
function smallLock(): string {
  const lock = readFileSync(join(PROJECT_DIR, 'ml', 'requirements.lock'), 'utf8');
  const entries = lock.split(/\n(?=\S)/);
  const chosen = entries.filter((entry) => /^(setuptools|supervisor)==/.test(entry));
  expect(chosen).toHaveLength(2);
  return chosen.join('\n').replaceAll(/^ +#.*$/gm, '');
}

const installed = (name: string) => existsSync(join(projectDir, 'ml', '.venv', 'bin', name));

describe('Python environment', { timeout: 120_000 }, () => {
  it('is installed once, again when the lock file changes, and never partly', async () => {
    const lines: string[] = [];
    const place = { projectDir };
    const ensure = () => ensurePython(place, (line) => lines.push(line));
    await Promise.all([ensure(), ensure()]);
    expect(lines.filter((line) => line.startsWith('installing the Python packages'))).toHaveLength(1);
    expect(installed('supervisord')).toBe(true);
    const python = join(projectDir, 'ml', '.venv', 'bin', 'python');
    const { stdout } = await execa(
      python,
      ['-c', 'import sys, shelfcast; print(sys.version_info[:2], shelfcast.__file__)'],
      {
        cwd: dir,
      },
    );
    expect(stdout).toBe(`(3, 11) ${join(projectDir, 'ml', 'shelfcast', '__init__.py')}`);

    lines.length = 0;
    await ensure();
    expect(lines).toEqual([]);

    const lock = smallLock();
    writeFileSync(
      join(projectDir, 'ml', 'requirements.lock'),
      lock.replace(/--hash=sha256:.*/, `--hash=sha256:${'0'.repeat(64)}`),
    );
    const stampBefore = pythonStamp(projectDir);
    rmSync(join(projectDir, 'ml', '.venv'), { recursive: true });
    await expect(ensure()).rejects.toThrow(/uv pip sync.*requirements\.lock|hash/i);
    writeFileSync(join(projectDir, 'ml', 'requirements.lock'), lock);
    expect(pythonStamp(projectDir)).not.toBe(stampBefore);
    await ensure();
    expect(installed('supervisord')).toBe(true);
  });
});

describe('Temporal program', () => {
  /** Installs it where nothing but these programs is on the PATH, and no download succeeds. */
  async function install(cacheDir: string, tools: Record<string, string>) {
    const bin = join(dir, 'bin');
    mkdirSync(bin);
    for (const tool of ['sh', 'tar']) symlinkSync(`/bin/${tool}`, join(bin, tool));
    for (const [name, script] of Object.entries(tools)) {
      writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
    const offline = join(dir, 'offline.mjs');
    writeFileSync(offline, `globalThis.fetch = () => Promise.reject(new Error('offline'));`);
    const main = join(PROJECT_DIR, 'infra', 'local', 'toolchain-main.ts');
    const imports = ['--import', 'tsx', '--import', offline];
    return execa(process.execPath, [...imports, main, PROJECT_DIR, cacheDir, 'temporal'], {
      reject: false,
      cwd: PROJECT_DIR,
      env: { PATH: bin },
    });
  }
  const binaryIn = (cacheDir: string) => join(cacheDir, 'shelfcast', 'temporal-1.5.1', 'temporal');

  it('is taken from the cache without a message', async () => {
    const cacheDir = join(dir, 'cache');
    mkdirSync(join(binaryIn(cacheDir), '..'), { recursive: true });
    writeFileSync(binaryIn(cacheDir), '', { mode: 0o755 });
    expect(await install(cacheDir, {})).toMatchObject({ exitCode: 0, stderr: '' });
  });

  it('is built when it cannot be downloaded', async () => {
    const cacheDir = join(dir, 'cache');
    // Stands for the compiler, which takes minutes: `go build ... -o FILE ...` makes FILE.
    const go = 'while [ $# -gt 0 ]; do [ "$1" = -o ] && echo built >"$2"; shift; done';
    const result = await install(cacheDir, { go });
    expect(result.stderr).toContain('building Temporal 1.5.1 from Go modules');
    expect(result.exitCode).toBe(0);
    expect(readFileSync(binaryIn(cacheDir), 'utf8')).toBe('built\n');
  });

  it('reports what to do without Go', async () => {
    const result = await install(join(dir, 'cache'), {});
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toMatch(/offline.*no Go.*TEMPORAL_ADDRESS/);
  });

  it('leaves nothing of a build that failed', async () => {
    const cacheDir = join(dir, 'cache');
    const go = '[ "$1" = version ] && exit 0; echo "checksum mismatch" >&2; exit 1';
    const result = await install(cacheDir, { go });
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('checksum mismatch');
    expect(readdirSync(join(binaryIn(cacheDir), '..'))).toEqual([]);
  });
});
