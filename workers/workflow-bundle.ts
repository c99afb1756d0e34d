/** Bundle of the workflows, cached under a hash of its sources because bundling takes seconds. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bundleWorkflowCode } from '@temporalio/worker';
import { writeFileAtomically } from '../infra/atomic-file.ts';

export async function bundleWorkflows(projectDir: string): Promise<string> {
  const { code } = await bundleWorkflowCode({ workflowsPath: join(projectDir, 'workflows/index.ts') });
  return code;
}

/** Resolves to a file with the bundle of the current sources. */
export async function cachedWorkflowBundle(projectDir: string, bundle = bundleWorkflows): Promise<string> {
  for (;;) {
    const hash = hashOfSources(projectDir);
    const file = join(projectDir, 'dist', `workflows-${hash}.js`);
    if (existsSync(file)) return file;
    const code = await bundle(projectDir);
    // The sources have changed, and the bundle may hold a part of the changes.
    if (hashOfSources(projectDir) !== hash) continue;
    mkdirSync(dirname(file), { recursive: true });
    writeFileAtomically(file, code);
  }
}

/** Hash of the bundle's sources: workflows, contracts, and the versions of the packages. */
function hashOfSources(projectDir: string): string {
  const hash = createHash('sha256').update(readFileSync(join(projectDir, 'package-lock.json')));
  for (const folder of ['workflows', 'contracts']) {
    const files = readdirSync(join(projectDir, folder), { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((name) => name.endsWith('.ts')).sort())
      hash.update(`\0${folder}/${file}\0`).update(readFileSync(join(projectDir, folder, file)));
  }
  return hash.digest('hex').slice(0, 16);
}
