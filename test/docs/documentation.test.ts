/** The pages' promises: commands that exist, and a way to every page. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, test, vi } from 'vitest';
import { PROJECT_DIR } from '../platform.ts';
import { follow, localLinks, pagesBelow, shelfcastCommands } from './markdown.ts';

const README_LINES = 110;

const read = (page: string): string => readFileSync(join(PROJECT_DIR, page), 'utf8');
const pages = pagesBelow(PROJECT_DIR).map((path) => ({ path, text: read(path) }));
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };

test('the README fits on a page', () => {
  expect(read('README.md').trimEnd().split('\n').length).toBeLessThanOrEqual(README_LINES);
});

test('every link leads to a file, and to a heading of it', () => {
  const problems = pages.flatMap(({ path, text }) =>
    localLinks(text).flatMap((link) => {
      const found = follow(PROJECT_DIR, path, link);
      return 'problem' in found ? [found.problem] : [];
    }),
  );
  expect(problems).toEqual([]);
});

test('docs/data.md has as many data-quality rules as the README says', () => {
  const rules = read('docs/data.md').match(/^\| `[a-z-]+` +\| (error|warning|row) +\|/gm);
  const [, least] = /More than (\d+) data-quality rules/.exec(read('README.md')) ?? [];
  expect(rules?.length).toBeGreaterThan(Number(least));
});

test('every page of docs/ is reached from docs/README.md', () => {
  const reached = new Set<string>();
  const visit = (page: string): void => {
    if (reached.has(page)) return;
    reached.add(page);
    for (const link of localLinks(read(page))) {
      const found = follow(PROJECT_DIR, page, link);
      if ('page' in found && /^docs\/.*\.md$/.test(found.page)) visit(found.page);
    }
  };
  visit('docs/README.md');
  const inDocs = pages.map(({ path }) => path).filter((path) => path.startsWith('docs/'));
  expect(inDocs.filter((path) => !reached.has(path))).toEqual([]);
});

describe('commands', () => {
  const named = (pattern: RegExp): string[] => [
    ...new Set(pages.flatMap(({ text }) => [...text.matchAll(pattern)].map(([, name]) => name ?? ''))),
  ];

  test('of npm are scripts of package.json', () => {
    const names = named(/npm run (?:--[a-z-]+ )?([a-z][a-z:-]*)/g);
    expect(names).toContain('check');
    expect(names.filter((name) => !(name in scripts))).toEqual([]);
  });

  test('of the benchmarks have a file in bench/', () => {
    const names = named(/npm run bench -- ([a-z][a-z-]*)/g);
    expect(names).toContain('accuracy');
    expect(names.filter((name) => !existsSync(join(PROJECT_DIR, 'bench', `${name}.ts`)))).toEqual([]);
  });

  test('of shelfcast are commands of its program, with these options', async () => {
    const parse = vi.spyOn(Command.prototype, 'parseAsync').mockResolvedValue(new Command());
    await import('../../cli/main.ts');
    const program = parse.mock.contexts[0] as Command;
    parse.mockRestore();

    const used = pages.flatMap(({ text }) => shelfcastCommands(text));
    expect(used.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['start', 'run', 'ingest', 'schedule create']),
    );
    const problems = used.flatMap(({ name, options }) => {
      const command = subcommand(program, name.split(' '));
      if (command === undefined) return [`shelfcast ${name}`];
      const known = ['--help', ...command.options.map(({ long }) => long)];
      return options
        .filter((option) => !known.includes(option))
        .map((option) => `shelfcast ${name} ${option}`);
    });
    expect(problems).toEqual([]);
  });
});

const subcommand = (program: Command, names: string[]): Command | undefined =>
  names.reduce<Command | undefined>(
    (parent, name) => parent?.commands.find((command) => command.name() === name),
    program,
  );
