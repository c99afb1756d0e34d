/** Bundling of the workflows, which takes seconds: a worker keeps its bundle and starts from it while the sources are the same. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bundleWorkflowCode } from '@temporalio/worker';
import { writeFileAtomically } from '../infra/atomic-file.ts';

export async function bundleWorkflows(projectDir: string): Promise<string> {
  const { code } = await bundleWorkflowCode({ workflowsPath: join(projectDir, 'workflows/index.ts') });
  return code;
}

/** Resolves to a file with the bundle of the sources as they are now. */
export async function keptWorkflowBundle(projectDir: string, bundle = bundleWorkflows): Promise<string> {
  for (;;) {
    const hash = hashOfSources(projectDir);
    const file = join(projectDir, 'dist', `workflows-${hash}.js`);
    if (existsSync(file)) return file;
    const code = await bundle(projectDir);
    // If sources changed meanwhile, the bundle may hold some of the changes.
    if (hashOfSources(projectDir) !== hash) continue;
    mkdirSync(dirname(file), { recursive: true });
    writeFileAtomically(file, code);
  }
}

/** Hash of all that may be in the bundle: workflows, contracts, and the versions of the packages. */
function hashOfSources(projectDir: string): string {
  const hash = createHash('sha256').update(readFileSync(join(projectDir, 'package-lock.json')));
  for (const folder of ['workflows', 'contracts']) {
    const files = readdirSync(join(projectDir, folder), { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((name) => name.endsWith('.ts')).sort())
      hash.update(`\0${folder}/${file}\0`).update(readFileSync(join(projectDir, folder, file)));
  }
  return hash.digest('hex').slice(0, 16);
}
