/** `npm run generate`: writes the files that are generated from the schemas in contracts/ and config/. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PROJECT_DIR } from '../config/environment.ts';
import { generatedFiles } from './generate/files.ts';

for (const [path, content] of await generatedFiles()) {
  mkdirSync(dirname(join(PROJECT_DIR, path)), { recursive: true });
  writeFileSync(join(PROJECT_DIR, path), content);
  console.log(path);
}
