/** The generated files are what the schemas in contracts/ give. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PROJECT_DIR } from '../../config/environment.ts';
import { generatedFiles } from '../../scripts/generate/files.ts';

const files = await generatedFiles();

test.each([...files])('%s is up to date: npm run generate', (path, content) => {
  expect(readFileSync(join(PROJECT_DIR, path), 'utf8')).toBe(content);
});

test('no schema is left over from an earlier generation', () => {
  const schemas = readdirSync(join(PROJECT_DIR, 'contracts/schemas')).map(
    (name) => `contracts/schemas/${name}`,
  );
  expect(schemas.filter((path) => !files.has(path))).toEqual([]);
});
