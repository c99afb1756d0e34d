/** Each default of the pipeline's input stands in its schema alone. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { PROJECT_DIR } from '../../config/environment.ts';
import { pipelineInputSchema } from '../../contracts/pipeline.ts';
import type { JsonSchema } from '../../scripts/generate/json-schema.ts';

const FOLDERS = [
  'activities',
  'cli',
  'client',
  'config',
  'contracts',
  'infra',
  'ml/shelfcast',
  'workers',
  'workflows',
];
const SOURCES = new Set(['contracts/pipeline.ts', 'ml/shelfcast/contracts/specs.py']);

const types = z.toJSONSchema(pipelineInputSchema, { io: 'input' }).$defs as Record<string, JsonSchema>;
const defaults = Object.values(types).flatMap(({ properties = {} }) =>
  Object.entries(properties).flatMap(([key, { default: value }]) =>
    // Python's open() has an `encoding`, too.
    (typeof value === 'number' || typeof value === 'string') && key !== 'encoding' ? [{ key, value }] : [],
  ),
);

/** Lines that give a value of the input its default: `key: 8`, `key ?? 8`, `--key ... default=8`, `'--key <n>', '...', '8'`. */
function copiesIn(text: string): string[] {
  // Prettier gives each argument of a long call a line of its own.
  const lines = text.replace(/,\n\s*(?=')/g, ', ').split('\n');
  return lines.filter((line) => defaults.some(({ key, value }) => isCopy(line, key, value)));
}

function isCopy(line: string, key: string, value: number | string): boolean {
  const snake = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const names = [key, snake, snake.replaceAll('_', '-'), snake.toUpperCase()].join('|');
  const literal = typeof value === 'string' ? `['"]${value}['"]` : numberPattern(value);
  const assigned = `\\b(?:${names})\\b['"]?(?:: \\w+)?\\s*(?:=|:|\\?\\?|,.*default=)\\s*(?:${literal})(?![\\w.])`;
  // An option of the command line may leave out the unit of its value: --horizon for horizonWeeks.
  const flag = `--(?:${names}|${snake.replace(/_weeks$/, '').replaceAll('_', '-')})`;
  const option = `${flag} <.*(?:', ['"]?|default: )(?:${literal}|${value})(?![\\w.])`;
  return new RegExp(`${assigned}|${option}`).test(line);
}

const numberPattern = (value: number): string =>
  [String(value), value.toLocaleString('en').replaceAll(',', '_')]
    .map((text) => text.replace('.', '\\.'))
    .join('|');

test.each([
  'const { maxEpochs = 12 } = options;',
  'maxEpochs: 12,',
  'TRAIN = {"maxEpochs": 12}',
  'max_epochs: int = 12',
  'batch_size=1_024,',
  'readyWithinSeconds ?? 300',
  'parser.add_argument("--validation-weeks", type=int, default=8)',
  'parser.add_argument("--preset", default="global")',
  ".option('--preset <name>', 'preset of the model', 'global')",
  ".option('--horizon <weeks>', 'number of weeks to forecast, at most a year', '8')",
  ".option('--processes <count>', 'training processes (default: 2, at most the number of cores)')",
])('a copy is recognized: %s', (line) => {
  expect(copiesIn(line)).toEqual([line]);
});

test('no default is written a second time', () => {
  const copies = FOLDERS.flatMap((folder) =>
    readdirSync(join(PROJECT_DIR, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(ts|py)$/.test(file))
      .map((file) => `${folder}/${file}`)
      .filter((path) => !SOURCES.has(path))
      .flatMap((path) =>
        copiesIn(readFileSync(join(PROJECT_DIR, path), 'utf8')).map((line) => `${path}: ${line.trim()}`),
      ),
  );
  expect(copies).toEqual([]);
});
