/** The project's own checks find what is planted for them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ESLint } from 'eslint';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import firstWords from '../../scripts/lint/first-words.json' with { type: 'json' };
import { PROJECT_DIR } from '../platform.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shelfcast-lint-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const write = (path: string, text: string): void => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
};

describe('a doc comment that begins with a fragment', () => {
  const eslint = new ESLint({ cwd: PROJECT_DIR });
  const reported = async (comment: string, code = 'export const weeks = 1;'): Promise<string[]> => {
    const [result] = await eslint.lintText(`${comment}\n${code}\n`, {
      filePath: join(PROJECT_DIR, 'scripts', 'planted.mjs'),
    });
    return result?.messages.map(({ ruleId, message }) => `${ruleId ?? ''}: ${message}`) ?? [];
  };

  test.each([
    '/** Of the shuffle. */',
    '/**\n * What the worker needs.\n */',
    '/** Are trained side by side. */',
    '// What the first line of a script says.',
  ])('in TypeScript: %s', async (comment) => {
    expect(await reported(comment)).toEqual([
      expect.stringContaining('house/doc-comments: Begin with a noun'),
    ]);
  });

  test.each([
    "export const schema = z.string().describe('Which series are left out');",
    "export const schema = z.object({}).meta({ id: 'Left', description: 'Which series are left out' });",
  ])('in the description of a schema: %s', async (code) => {
    expect(await reported('/** Series without a forecast. */', code)).toEqual([
      expect.stringContaining('not with "Which"'),
    ]);
  });

  test('in both languages, whatever the word', async () => {
    for (const word of firstWords) {
      expect(await reported(`/** ${word} it all. */`)).toHaveLength(1);
      write(`${word}.py`, `"""${word} it all."""\n`);
    }
    const { stdout } = await lintPython();
    expect(stdout.match(/\w+(?=\.py:1: begin with a noun)/g)?.sort()).toEqual(firstWords);
  });

  test('in TypeScript, a noun phrase is none', async () => {
    expect(await reported('/** Offices of the worker: what it needs. */')).toEqual([]);
  });

  test.each([
    ['a module', '"""What every network is."""\n', 1],
    ['a function', 'def seed():\n    """Of the shuffle."""\n', 2],
    [
      'an argument',
      'def seed(x):\n    """Returns it.\n\n    Args:\n        x: Of the shuffle.\n    """\n',
      5,
    ],
    ['an attribute', 'a = 1\n#: Whose weeks they are.\nb = 2\n', 2],
  ])('in Python, of %s', async (_, text, line) => {
    write('planted.py', text);
    const { exitCode, stdout } = await lintPython();
    expect(stdout).toMatch(new RegExp(`planted\\.py:${line}: begin with a noun`));
    expect(exitCode).toBe(1);
  });

  test('in Python, a sentence is none', async () => {
    write(
      'plain.py',
      '"""Base classes of all presets."""\n\n#: Seed of the shuffle,\n#: which is fixed.\nseed = 1\n',
    );
    expect(await lintPython()).toMatchObject({ exitCode: 0, stdout: '' });
  });

  const lintPython = () =>
    execa('python3', [join(PROJECT_DIR, 'scripts/lint/doc_comments.py'), folder], { reject: false });
});

test('an import circle is found, through a type too', async () => {
  write('a.ts', "import { b } from './b.ts';\nexport const a = b;\nexport type A = typeof a;\n");
  write('b.ts', "import type { A } from './a.ts';\nexport const b: A | number = 1;\n");
  const cruise = (file: string) =>
    execa(
      join(PROJECT_DIR, 'node_modules/.bin/depcruise'),
      [
        '--config',
        join(PROJECT_DIR, '.dependency-cruiser.json'),
        '--ts-config',
        join(PROJECT_DIR, 'tsconfig.json'),
        file,
      ],
      { cwd: folder, reject: false },
    );
  const { exitCode, stdout } = await cruise('.');
  expect(stdout).toMatch(/no-circular/);
  expect(exitCode).not.toBe(0);
});

test.each([
  [
    'a circle of two files',
    'no import circles',
    { 'job.py': 'import shelfcast.base\n', 'base.py': 'import shelfcast.job\n' },
  ],
  [
    'a circle through a type',
    'no import circles',
    {
      'job.py': 'import shelfcast.base\n',
      'base.py': 'from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import shelfcast.job\n',
    },
  ],
  [
    'an import from a package above',
    'a package imports only from packages below it',
    { 'models/lstm.py': 'import shelfcast.train.loop\n', 'train/loop.py': '' },
  ],
])('in Python, %s is found', async (_, contract, files) => {
  const packages = [
    'backtest',
    'inspection',
    'train',
    'evaluate',
    'baselines',
    'models',
    'ingest',
    'features',
    'contracts',
  ];
  for (const name of ['', ...packages]) write(join('shelfcast', name, '__init__.py'), '');
  for (const name of ['snapshot.py', 'job.py']) write(join('shelfcast', name), '');
  const lint = () =>
    execa(
      join(PROJECT_DIR, 'ml/.venv/bin/lint-imports'),
      ['--no-cache', join(PROJECT_DIR, 'ml/pyproject.toml')],
      { cwd: folder, env: { PYTHONPATH: folder }, reject: false },
    );
  expect(await lint()).toMatchObject({ exitCode: 0 });
  for (const [path, text] of Object.entries(files)) write(join('shelfcast', path), text);
  const { exitCode, stdout } = await lint();
  expect(stdout).toContain(`${contract} BROKEN`);
  expect(exitCode).toBe(1);
});
