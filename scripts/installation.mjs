// Installation in a fresh clone: Node.js packages for every command, Python and Temporal for commands that need them.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail, PROJECT, run, runTypescript } from './programs.mjs';

const MIN_NODE = [20, 19];
const PROGRESS_LINE_MS = 15_000;

/** Runs `npm ci` unless node_modules comes from this package-lock.json. */
export async function installNodeModules() {
  checkNodeVersion();
  const stampPath = join(PROJECT, 'node_modules', '.shelfcast-stamp');
  const lock = readFileSync(join(PROJECT, 'package-lock.json'));
  const stamp = createHash('sha256').update(lock).update(process.versions.modules).digest('hex');
  if (existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp) return;
  const began = Date.now();
  process.stderr.write(
    'installing the packages of package-lock.json into node_modules; usually less than a minute\n',
  );
  const timer = setInterval(() => {
    const seconds = Math.round((Date.now() - began) / 1000);
    process.stderr.write(`still installing node_modules (${seconds} s)\n`);
  }, PROGRESS_LINE_MS);
  const code = await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    stdio: ['ignore', 2, 2],
    // The install step of onnxruntime-node downloads 300 MB of CUDA libraries that nothing here uses.
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
  });
  clearInterval(timer);
  if (code !== 0) fail('npm ci failed; see above');
  writeFileSync(stampPath, stamp);
}

function checkNodeVersion() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return;
  fail(`Node.js ${process.versions.node} is too old: shelfcast needs ${MIN_NODE.join('.')} or newer`);
}

/** Installs `python`, `temporal` or both, unless they are there; ends the process if that fails. */
export async function installTools(...parts) {
  await installNodeModules();
  const cache = process.env.XDG_CACHE_HOME ?? '';
  const code = await runTypescript('infra/local/toolchain-main.ts', [PROJECT, cache, ...parts]);
  if (code !== 0) process.exit(code);
}
