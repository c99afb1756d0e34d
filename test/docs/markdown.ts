/** The project's Markdown pages: links, headings and commands. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const NOT_OURS = new Set(['node_modules', '.git', '.shelfcast', '.venv', '.pytest_cache']);

/** Paths of all pages, relative to `root`. */
export function pagesBelow(root: string, folder = '.'): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : pagesBelow(root, path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

const FENCED = /^ *```[^\n]*\n[^]*?^ *```$/gm;

/** Targets of the page's links and pictures that lie in the project. */
export function localLinks(page: string): string[] {
  const prose = page.replace(FENCED, '').replace(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target ?? '')
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** Anchors that GitHub gives to the page's headings. */
function anchors(page: string): Set<string> {
  const headings = page.replace(FENCED, '').matchAll(/^#+ (.+)$/gm);
  return new Set([...headings].map(([, heading]) => anchorOf(heading ?? '')));
}

const anchorOf = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');

/** The link's page relative to `root`, or why the link leads nowhere. */
export function follow(root: string, from: string, link: string): { page: string } | { problem: string } {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? join(root, from) : resolve(root, dirname(from), path);
  if (!existsSync(target)) return { problem: `${from}: there is no ${path}` };
  const isKnown =
    anchor === undefined || !target.endsWith('.md') || anchors(readFileSync(target, 'utf8')).has(anchor);
  return isKnown
    ? { page: relative(root, target) }
    : { problem: `${from}: ${path} has no heading #${anchor}` };
}

export interface Command {
  /** For example `run` or `schedule create`. */
  name: string;
  options: string[];
}

/** The uses of `npx shelfcast` and `npm start`, in code blocks and in running text. */
export function shelfcastCommands(page: string): Command[] {
  // A backslash continues a line; a comment or the end of inline code ends a command.
  const text = page.replaceAll('\\\n', ' ').replace(/[#`|;].*$/gm, (rest) => rest.replace(/^[#`|;]/, '\n'));
  const uses = text.matchAll(/(?:npx shelfcast|npm start --) ?(?<rest>[^\n`]*)/g);
  return [...uses].flatMap(({ 0: use, groups }) => {
    const rest = groups?.['rest'] ?? '';
    const words = rest.split(' ').filter((word) => word !== '');
    const isStart = use.startsWith('npm start');
    const names = isStart ? ['start'] : words.slice(0, words[0] === 'schedule' ? 2 : 1);
    const name = names.filter((word) => /^[a-z]+$/.test(word)).join(' ');
    const options = [...rest.matchAll(/(?<=^|\s)--[a-z][a-z-]*/g)].map(([option]) => option);
    return name === '' ? [] : [{ name, options }];
  });
}
