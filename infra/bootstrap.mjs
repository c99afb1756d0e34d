// Behind each `npm` command: makes a fresh clone ready with what Node itself has, then hands on.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROJECT = dirname(dirname(fileURLToPath(import.meta.url)));
const ML = join(PROJECT, 'ml');
const MIN_NODE = [20, 19];
// Told its settings: ruff looks for them above each file, and some files are not below ml/.
const RUFF = ['--quiet', '--config', 'pyproject.toml', '.', '../bench', '../infra', '../test'];
const bin = (name) => join(PROJECT, 'node_modules', '.bin', name);
const python = (name) => join(ML, '.venv', 'bin', name);

const commands = {
  start: (args) => cli('start', args),
  stop: (args) => cli('stop', args),
  test,
  'test:cluster': testCluster,
  check,
  bench,
  images: (args) => typescript('infra/images/build-main.ts', args),
};

const [command, ...args] = process.argv.slice(2);
if (!Object.hasOwn(commands, command ?? '')) {
  fail(`usage: node infra/bootstrap.mjs ${Object.keys(commands).join('|')} [ARGUMENTS]`);
}
checkNode();
installNodeModules();
process.exitCode = await commands[command](args);

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return;
  fail(`Node.js ${process.versions.node} is too old: shelfcast needs ${MIN_NODE.join('.')} or newer`);
}

/** Runs `npm ci` unless node_modules was made from this very package-lock.json. */
function installNodeModules() {
  const stampPath = join(PROJECT, 'node_modules', '.shelfcast-stamp');
  const lock = readFileSync(join(PROJECT, 'package-lock.json'));
  const stamp = createHash('sha256').update(lock).update(process.versions.modules).digest('hex');
  if (existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp) return;
  process.stderr.write('installing the packages of package-lock.json into node_modules\n');
  const result = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: PROJECT,
    stdio: ['ignore', 2, 2],
    // Its install step loads CUDA libraries of 300 MB, which nothing here uses.
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
  });
  if (result.status !== 0) fail(`npm ci failed${result.error ? `: ${result.error.message}` : ''}; see above`);
  writeFileSync(stampPath, stamp);
}

/** Resolves to the exit code. Interrupts reach the child by themselves: it is in the same process group. */
function run(program, programArgs, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, programArgs, { cwd: PROJECT, stdio: 'inherit', ...options });
    const wait = () => undefined;
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, wait);
    child.on('error', (error) => {
      process.stderr.write(`cannot run ${program}: ${error.message}\n`);
      resolve(127);
    });
    child.on('close', (code) => {
      for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, wait);
      resolve(code ?? 1);
    });
  });
}

function typescript(file, fileArgs) {
  return run(process.execPath, ['--import', 'tsx', join(PROJECT, file), ...fileArgs]);
}

function cli(name, cliArgs) {
  return typescript('cli/main.ts', [name, ...cliArgs]);
}

async function installTools(...parts) {
  const cache = process.env.XDG_CACHE_HOME ?? '';
  const code = await typescript('infra/local/toolchain-main.ts', [PROJECT, cache, ...parts]);
  if (code !== 0) process.exit(code);
}

/** All tests, or those whose path holds one of the arguments. */
async function test(patterns) {
  const isPython = (pattern) => /\.py(::|$)|(^|\/)ml(\/|$)/.test(pattern);
  const forPython = patterns.filter(isPython);
  const forNode = patterns.filter((pattern) => !isPython(pattern));
  const { passed, failed } = await counted(async (reports) => {
    const counts = [];
    if (patterns.length === 0 || forNode.length > 0)
      counts.push(await vitest(forNode, join(reports, 'vitest.json')));
    if (patterns.length === 0 || forPython.length > 0)
      counts.push(await pytest(forPython, join(reports, 'pytest.xml')));
    return counts;
  });
  return failed > 0 || passed === 0 ? 1 : 0;
}

/** Runs tests, which are handed a folder for their reports, and prints a last line that counts them. */
async function counted(runTests) {
  await installTools('python', 'temporal');
  const reports = mkdtempSync(join(tmpdir(), 'shelfcast-test-'));
  try {
    const counts = await runTests(reports);
    const passed = counts.reduce((sum, count) => sum + count.passed, 0);
    const failed = counts.reduce((sum, count) => sum + count.failed, 0);
    process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
    return { passed, failed };
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
}

/** The tests that need a Kubernetes with the operators; with --if-built only where that is there already. */
async function testCluster(options) {
  const patterns = options.filter((option) => option !== '--if-built');
  const onCluster = [process.execPath, '--import', 'tsx', join(PROJECT, 'test/cluster/cluster-main.ts')];
  if (options.includes('--if-built')) onCluster.push('--if-built');
  const config = ['--config', join(PROJECT, 'test/cluster/vitest.config.ts')];
  // None at all where there can be no cluster.
  const { failed } = await counted(async (reports) => [
    await vitest([...config, ...patterns], join(reports, 'vitest.json'), onCluster),
  ]);
  return failed > 0 ? 1 : 0;
}

/** `onCluster` is a command that runs vitest, or says why it does not and succeeds. */
async function vitest(patterns, report, onCluster = []) {
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const [program, ...programArgs] = [...onCluster, bin('vitest'), 'run', ...reporters, ...patterns];
  const code = await run(program, programArgs);
  if (!existsSync(report)) return { passed: 0, failed: onCluster.length > 0 && code === 0 ? 0 : 1 };
  const { numPassedTests: passed, numFailedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
  // A file that cannot be loaded has no tests, and a leaked error belongs to none.
  const brokenFiles = testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  );
  const failed = numFailedTests + brokenFiles.length;
  return { passed, failed: code !== 0 && failed === 0 ? 1 : failed };
}

async function pytest(patterns, report) {
  const paths = patterns.map((pattern) => join(PROJECT, pattern));
  const code = await run(python('pytest'), [`--junitxml=${report}`, ...paths], { cwd: ML });
  if (!existsSync(report)) return { passed: 0, failed: 1 };
  const suite = /<testsuite\s[^>]*>/.exec(readFileSync(report, 'utf8'))?.[0] ?? '';
  const number = (name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(suite)?.[1] ?? 0);
  const failed = number('failures') + number('errors');
  const passed = number('tests') - failed - number('skipped');
  // 5: nothing was collected.
  return { passed, failed: code !== 0 && code !== 5 && failed === 0 ? 1 : failed };
}

/** Everything that can be wrong without running the program. */
async function check() {
  await installTools('python');
  const checks = [
    ['format', bin('prettier'), ['--check', '--log-level=warn', '.']],
    ['lint', bin('eslint'), ['.']],
    ['types', bin('tsc'), ['-p', '.']],
    ['dead code', bin('knip'), []],
    ['Python lint', python('ruff'), ['check', ...RUFF], ML],
    ['Python format', python('ruff'), ['format', '--check', ...RUFF], ML],
    ['Python types', python('mypy'), [], ML],
  ];
  const broken = [];
  for (const [name, program, programArgs, cwd = PROJECT] of checks) {
    const begin = Date.now();
    const code = await run(program, programArgs, { cwd });
    const seconds = ((Date.now() - begin) / 1000).toFixed(1);
    process.stdout.write(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)\n`);
    if (code !== 0) broken.push(name);
  }
  if (broken.length > 0) process.stdout.write(`\nfailed: ${broken.join(', ')}\n`);
  return broken.length > 0 ? 1 : 0;
}

async function bench([name, ...benchArgs]) {
  const names = readdirSync(join(PROJECT, 'bench'))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -'.ts'.length));
  if (!names.includes(name)) fail(`usage: npm run bench -- NAME, where NAME is one of: ${names.join(', ')}`);
  await installTools('python', 'temporal');
  return typescript(`bench/${name}.ts`, benchArgs);
}
