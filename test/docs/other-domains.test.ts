/** The commands of docs/other-domains.md, one after the other, in an empty folder. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROJECT_DIR } from '../platform.ts';

const page = readFileSync(join(PROJECT_DIR, 'docs', 'other-domains.md'), 'utf8');
const blocks = (language: string): string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'gm'))].map(([, block]) => block ?? '');
const HOUR = 3_600_000;
const WEEK = 7 * 24 * HOUR;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shelfcast-calls-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a block of the page; `npx shelfcast` is the program of this project. */
const shell = async (block: string): Promise<string> => {
  const program = join(PROJECT_DIR, 'cli', 'shelfcast.mjs');
  const npx = `npx() { shift; '${process.execPath}' '${program}' "$@"; }`;
  // npm names the folder in which npx was called.
  const env = { INIT_CWD: folder };
  const { all } = await execa('bash', ['-ec', `${npx}\n${block}`], { cwd: folder, env, all: true });
  return all;
};
const read = (file: string): string => readFileSync(join(folder, file), 'utf8');
const rows = (file: string): Record<string, string>[] => {
  const [header = '', ...lines] = read(file).trim().split('\n');
  const names = header.split(',');
  return lines.map((line) => Object.fromEntries(line.split(',').map((cell, n) => [names[n] ?? '', cell])));
};

/** Calls of each centre, queue and week, by their key; a week is named by its Sunday. */
function weeklyCalls(): Map<string, number> {
  const sums = new Map<string, number>();
  const monday = Date.UTC(2025, 0, 6);
  for (const { interval_start: start = '', centre, queue, calls } of rows('calls/sales.csv')) {
    const week = Math.floor((Date.parse(`${start.replace(' ', 'T')}Z`) - monday) / WEEK);
    const sunday = new Date(monday + (week + 1) * WEEK - 24 * HOUR).toISOString().slice(0, 10);
    const key = [centre, queue, sunday].join();
    sums.set(key, (sums.get(key) ?? 0) + Number(calls));
  }
  return sums;
}

test('hourly calls get weekly forecasts by a declaration alone', { timeout: 300_000 }, async () => {
  const [file = '', inspect = '', backtest = '', ...others] = blocks('sh');
  expect(others).toEqual([]);
  expect(`${await shell(file)}\n`).toBe(blocks('csv')[0]);

  const inspected = await shell(inspect);
  expect(inspected).toContain('70 weeks from 2025-01-12 to 2026-05-10, which end on Sunday');
  expect(inspected).toContain('result: the data load with this declaration');
  expect(read('calls/shelfcast.json')).toBe(blocks('json')[0]);

  expect(await shell(backtest)).toMatch(/^simple forecast +WMAE +[\d.]+ calls, WAPE [\d.]+%/m);
  const forecasts = rows('calls-backtest/forecasts.csv');
  expect(forecasts).toHaveLength(4 * 4);
  const sums = weeklyCalls();
  for (const { store, dept, target_week: week, actual, p10, p50, p90 } of forecasts) {
    expect(Number(actual)).toBe(sums.get([store, dept, week].join()));
    expect(Number(p50)).toBeGreaterThan(0);
    expect(Number(p10)).toBeLessThanOrEqual(Number(p50));
    expect(Number(p50)).toBeLessThanOrEqual(Number(p90));
  }
});
