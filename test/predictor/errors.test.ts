/** The codes of refusals: docs/predictor.md and contracts/predict.ts list the same ones. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { errorBodySchema } from '../../contracts/predict.ts';
import { PROJECT_DIR } from '../platform.ts';

it('documents every code, and no other', async () => {
  const page = await readFile(join(PROJECT_DIR, 'docs/predictor.md'), 'utf8');
  const [, refusals = ''] = /## Refusals\n(.*?)\n## /s.exec(page) ?? [];
  const rows = refusals.split('\n').filter((line) => /^\| [\d, ]+ +\|/.test(line));
  const documented = rows.flatMap((row) => [...row.matchAll(/`([A-Z_]+)`/g)].map(([, code]) => code));
  expect(documented.sort()).toEqual([...errorBodySchema.shape.error.shape.code.options].sort());
});
