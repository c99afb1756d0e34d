// `npm run check`: all checks that do not run the program.
import { SOURCE_FOLDERS } from './build.mjs';
import { installTools } from './installation.mjs';
import { ML, nodeBin, PROJECT, pythonBin, run } from './programs.mjs';

// The settings are named, because ruff looks for them in the folders above each file, and some files are not below ml/.
const RUFF = ['--quiet', '--config', 'pyproject.toml', '.', '../bench', '../infra', '../test'];

const PYTHON = ['shelfcast', '../bench', '../infra', '../scripts', '../test'];

await installTools('python');
const checks = [
  ['format', nodeBin('prettier'), ['--check', '--log-level=warn', '.']],
  ['lint', nodeBin('eslint'), ['.']],
  ['types', nodeBin('tsc'), ['-p', '.']],
  ['dead code', nodeBin('knip'), []],
  ['import cycles', nodeBin('depcruise'), [...SOURCE_FOLDERS, 'bench', 'scripts', 'test']],
  ['Python lint', pythonBin('ruff'), ['check', ...RUFF], ML],
  ['Python format', pythonBin('ruff'), ['format', '--check', ...RUFF], ML],
  ['Python comments', pythonBin('python'), ['../scripts/lint/doc_comments.py', ...PYTHON], ML],
  ['Python types', pythonBin('mypy'), [], ML],
  ['Python import cycles', pythonBin('lint-imports'), ['--no-cache', '--no-logo'], ML],
];
const broken = [];
for (const [name, program, args, cwd = PROJECT] of checks) {
  const began = Date.now();
  const code = await run(program, args, { cwd });
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  process.stdout.write(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)\n`);
  if (code !== 0) broken.push(name);
}
if (broken.length > 0) process.stdout.write(`\nfailed: ${broken.join(', ')}\n`);
process.exitCode = broken.length > 0 ? 1 : 0;
