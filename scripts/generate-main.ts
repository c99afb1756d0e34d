/** `npm run generate`: writes the files that are made from the schemas in contracts/. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generatedFiles, PROJECT } from './generate/files.ts';

for (const [path, content] of await generatedFiles()) {
  mkdirSync(dirname(join(PROJECT, path)), { recursive: true });
  writeFileSync(join(PROJECT, path), content);
  console.log(path);
}
