/** Installation of the programs that npm does not install: uv, the Python environment, Temporal's command line program. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { execa } from 'execa';
import { describeError } from '../error-text.ts';
import { withLock } from './lock.ts';
import type { OnProgress } from './progress-lines.ts';
import { withProgressLines } from './progress-lines.ts';

const UV_VERSION = '0.13.9';
const PYTHON_VERSION = '3.11';
const TEMPORAL_VERSION = '1.5.1';
const TEMPORAL_PACKAGE = 'github.com/temporalio/cli/cmd/temporal';
/** Time until the download must begin; a firewall may drop the connection without an answer. */
const DOWNLOAD_ANSWER_TIMEOUT_MS = 8_000;
const DOWNLOAD_TIMEOUT_MS = 300_000;
/** Number of output lines that the error of a failed program quotes. */
const QUOTED_LINES = 20;
const PYTHON_USUAL = '1 to 4 minutes on two cores';
const TEMPORAL_USUAL = '3 to 6 minutes on two cores';

export interface ToolchainPlace {
  projectDir: string;
  /** Folder of the user's caches; `~/.cache` when absent. */
  cacheDir?: string | undefined;
}

const cacheOf = ({ cacheDir }: ToolchainPlace): string =>
  join(cacheDir ?? join(homedir(), '.cache'), 'shelfcast');

/** Installs exactly the packages of `ml/requirements.lock` into `ml/.venv`. Returns at once when they are there. */
export async function ensurePython(place: ToolchainPlace, onProgress: OnProgress): Promise<void> {
  const stamp = pythonStamp(place.projectDir);
  const stampPath = join(place.projectDir, 'ml', '.venv', '.shelfcast-stamp');
  const isDone = () => existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp;
  if (isDone()) return;
  const key = createHash('sha256').update(place.projectDir).digest('hex').slice(0, 12);
  await withLock(
    join(cacheOf(place), `python-${key}.lock`),
    async () => {
      if (isDone()) return;
      const uv = await ensureUv(place, onProgress);
      onProgress(
        `installing the Python packages of ml/requirements.lock (PyTorch, Ray, Feast, MLflow) into ml/.venv, once; ${PYTHON_USUAL}`,
      );
      rmSync(stampPath, { force: true });
      await withProgressLines('installing Python packages', PYTHON_USUAL, onProgress, () =>
        installPackages(uv, join(place.projectDir, 'ml')),
      );
      writeFileSync(stampPath, stamp);
    },
    () => {
      onProgress('waiting for another installation into ml/.venv');
    },
  );
}

/** Hash of everything that determines the content of `ml/.venv`. */
export function pythonStamp(projectDir: string): string {
  const hash = createHash('sha256').update(PYTHON_VERSION);
  for (const file of ['requirements.lock', 'pyproject.toml'])
    hash.update(readFileSync(join(projectDir, 'ml', file)));
  // An environment that was moved is broken: its programs name their interpreter by its full path.
  return hash.update(projectDir).digest('hex');
}

async function installPackages(uv: string, mlDir: string): Promise<void> {
  const venv = join(mlDir, '.venv');
  const env = { VIRTUAL_ENV: venv, UV_PROJECT_ENVIRONMENT: undefined, PYTHONPATH: undefined };
  const run = (args: string[]) => runProgram(uv, args, { cwd: mlDir, env });
  if (!(await isPython(join(venv, 'bin', 'python')))) {
    await run(['venv', '--quiet', '--clear', '--python', PYTHON_VERSION, venv]);
  }
  // Compiled here, because with PYTHONDONTWRITEBYTECODE, which CI often sets, each start of a process would compile again.
  await run(['pip', 'sync', '--quiet', '--compile-bytecode', '--require-hashes', 'requirements.lock']);
  await run(['pip', 'install', '--quiet', '--no-deps', '--no-build-isolation', '-e', '.']);
}

async function isPython(path: string): Promise<boolean> {
  const result = await execa(path, ['--version'], { reject: false });
  return result.stdout.startsWith(`Python ${PYTHON_VERSION}.`);
}

/** Returns `uv` of the PATH when it is new enough, else the one in the project's cache. */
async function ensureUv(place: ToolchainPlace, onProgress: OnProgress): Promise<string> {
  const found = await execa('uv', ['--version'], { reject: false });
  const version = /^uv (\d+)\.(\d+)\.(\d+)/.exec(found.stdout)?.slice(1).map(Number);
  if (version && compareVersions(version, UV_VERSION.split('.').map(Number)) >= 0) return 'uv';
  const dir = join(cacheOf(place), `uv-${UV_VERSION}`);
  const uv = join(dir, 'bin', 'uv');
  if (existsSync(uv)) return uv;
  await withLock(`${dir}.lock`, async () => {
    if (existsSync(uv)) return;
    onProgress(`installing uv ${UV_VERSION} into ${dir}`);
    const temporary = `${dir}.${process.pid}`;
    await runProgram('python3', ['-m', 'venv', temporary], {});
    const python = join(temporary, 'bin', 'python');
    await runProgram(
      python,
      ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `uv==${UV_VERSION}`],
      {},
    );
    rmSync(dir, { recursive: true, force: true });
    renameSync(temporary, dir);
  });
  return uv;
}

function compareVersions(a: number[], b: number[]): number {
  const at = a.findIndex((part, i) => part !== b[i]);
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
}

/** Returns the path of `temporal`: on the PATH, in the cache, downloaded, or built from Go modules. */
export async function ensureTemporal(place: ToolchainPlace, onProgress: OnProgress): Promise<string> {
  const onPath = await execa('sh', ['-c', 'command -v temporal'], { reject: false });
  if (onPath.exitCode === 0 && onPath.stdout.startsWith('/')) return onPath.stdout;
  const binary = join(cacheOf(place), `temporal-${TEMPORAL_VERSION}`, 'temporal');
  if (existsSync(binary)) return binary;
  await withLock(
    `${dirname(binary)}.lock`,
    async () => {
      if (existsSync(binary)) return;
      mkdirSync(dirname(binary), { recursive: true });
      const temporary = mkdtempSync(join(dirname(binary), 'new-'));
      try {
        const failure = await downloadTemporal(temporary, onProgress);
        if (failure !== null)
          await buildTemporal(place.projectDir, join(temporary, 'temporal'), failure, onProgress);
        renameSync(join(temporary, 'temporal'), binary);
      } finally {
        rmSync(temporary, { recursive: true, force: true });
      }
    },
    () => {
      onProgress('waiting for another installation of Temporal');
    },
  );
  return binary;
}

/** Returns null, or the reason of a failure; the build is tried next. */
async function downloadTemporal(dir: string, onProgress: OnProgress): Promise<string | null> {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const url = `https://temporal.download/cli/archive/v${TEMPORAL_VERSION}?platform=linux&arch=${architecture}`;
  const abort = new AbortController();
  const timer = setTimeout(() => {
    abort.abort(new Error(`no answer within ${DOWNLOAD_ANSWER_TIMEOUT_MS} ms`));
  }, DOWNLOAD_ANSWER_TIMEOUT_MS);
  try {
    const response = await fetch(url, {
      signal: AbortSignal.any([abort.signal, AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS)]),
    });
    clearTimeout(timer);
    if (!response.ok || response.body === null) return `GET ${url} answered ${response.status}`;
    onProgress(`downloading Temporal ${TEMPORAL_VERSION}`);
    await execa('tar', ['-xzf', '-', '-C', dir, 'temporal'], { input: Readable.fromWeb(response.body) });
    await execa(join(dir, 'temporal'), ['--version']);
    return null;
  } catch (error) {
    return `GET ${url}: ${describeError(error)}`;
  } finally {
    clearTimeout(timer);
  }
}

async function buildTemporal(
  projectDir: string,
  output: string,
  whyNotDownloaded: string,
  onProgress: OnProgress,
): Promise<void> {
  if ((await execa('go', ['version'], { reject: false })).failed) {
    throw new Error(
      `Temporal's server is needed and cannot be installed: no \`temporal\` on the PATH, the download failed ` +
        `(${whyNotDownloaded}), and there is no Go to build it with. Install one of them, or set TEMPORAL_ADDRESS.`,
    );
  }
  onProgress(
    `building Temporal ${TEMPORAL_VERSION} from Go modules, once, since it could not be downloaded ` +
      `(${whyNotDownloaded}); ${TEMPORAL_USUAL}`,
  );
  const args = ['build', '-trimpath', '-ldflags', '-s -w', '-o', output, TEMPORAL_PACKAGE];
  await withProgressLines('building Temporal', TEMPORAL_USUAL, onProgress, () =>
    runProgram('go', args, {
      cwd: join(projectDir, 'infra', 'temporal-cli'),
      env: { CGO_ENABLED: '0', GOFLAGS: undefined },
    }),
  );
}

async function runProgram(
  program: string,
  args: string[],
  options: { cwd?: string; env?: Record<string, string | undefined> },
): Promise<void> {
  const result = await execa(program, args, { ...options, reject: false, all: true, stdin: 'ignore' });
  if (!result.failed) return;
  const output = result.all.trim().split('\n').slice(-QUOTED_LINES).join('\n');
  throw new Error(`\`${program} ${args.join(' ')}\` failed (${result.shortMessage}):\n${output}`);
}
