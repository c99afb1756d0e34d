/** Version and commit of an image's sources. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';

interface SourceVersion {
  /** `0.1.0-4101a47d0e2b`, with `-dirty` if files differ from the commit; the version alone outside a clone. */
  tag: string;
  /** Labels named by the Open Container Initiative: version, commit, and the source's address if package.json has one. */
  labels: Record<string, string>;
}

const REVISION_DIGITS = 12;

export async function readSourceVersion(projectDir: string): Promise<SourceVersion> {
  const { version, repository } = JSON.parse(readFileSync(join(projectDir, 'package.json'), 'utf8')) as {
    version: string;
    repository?: { url: string };
  };
  const label = (name: string, value: string) => ({ [`org.opencontainers.image.${name}`]: value });
  const labels = {
    ...label('version', version),
    ...(repository === undefined ? {} : label('source', repository.url)),
  };
  const git = (...args: string[]) => execa('git', ['-C', projectDir, ...args], { reject: false });
  const head = await git('rev-parse', 'HEAD');
  if (head.failed) return { tag: version, labels };
  const status = await git('status', '--porcelain');
  const dirty = status.stdout === '' ? '' : '-dirty';
  const revision = head.stdout;
  return {
    tag: `${version}-${revision.slice(0, REVISION_DIGITS)}${dirty}`,
    labels: { ...labels, ...label('revision', revision) },
  };
}
