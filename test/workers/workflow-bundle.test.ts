import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cachedWorkflowBundle } from '../../workers/workflow-bundle.ts';

describe('the cached workflow bundle', () => {
  let project: string;
  let bundled: number;
  beforeEach(() => {
    project = mkdtempSync(join(tmpdir(), 'shelfcast-workflows-'));
    bundled = 0;
    for (const folder of ['workflows', 'contracts']) mkdirSync(join(project, folder));
    write('workflows/index.ts', 'one');
    write('package-lock.json', '{}');
  });
  afterEach(() => {
    rmSync(project, { recursive: true });
  });
  const write = (file: string, text: string): void => {
    writeFileSync(join(project, file), text);
  };
  /** Stands for the bundler, which takes seconds. */
  const bundle = (): Promise<string> => {
    bundled += 1;
    return Promise.resolve(readFileSync(join(project, 'workflows/index.ts'), 'utf8'));
  };

  test('is made once, and anew when workflows, contracts or packages change', async () => {
    const file = await cachedWorkflowBundle(project, bundle);
    expect(readFileSync(file, 'utf8')).toBe('one');
    expect(await cachedWorkflowBundle(project, bundle)).toBe(file);
    expect(bundled).toBe(1);
    for (const source of ['workflows/index.ts', 'contracts/names.ts', 'package-lock.json']) {
      write(source, 'two');
      await cachedWorkflowBundle(project, bundle);
    }
    expect(bundled).toBe(4);
    expect(readdirSync(join(project, 'dist'))).toHaveLength(4);
  });

  test('is not cached when the sources change while it is made', async () => {
    const file = await cachedWorkflowBundle(project, async () => {
      const code = await bundle();
      if (bundled === 1) write('workflows/index.ts', 'two');
      return code;
    });
    expect(readFileSync(file, 'utf8')).toBe('two');
    expect(readdirSync(join(project, 'dist'))).toHaveLength(1);
  });
});
