/**
 * buildah with a storage of its own: there `docker.io/library/node:24-bookworm-slim` and the like are stand-ins, which must not pass
 * for the real ones elsewhere on this machine. The folder may be deleted at any time.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { PROJECT_DIR } from '../../platform.ts';
import { cacheFolder } from '../dev-cluster.ts';

/** In the dev cluster's cache. */
export const imagesFolder = (): string => join(cacheFolder(), 'images');

/** Environment that makes buildah use that storage; chroot isolation needs no container runtime. */
export function buildahEnvironment(): Record<string, string> {
  const settings = join(imagesFolder(), 'storage.conf');
  mkdirSync(imagesFolder(), { recursive: true });
  writeFileSync(
    settings,
    `[storage]\ndriver = "overlay"\ngraphroot = "${join(imagesFolder(), 'storage')}"\nrunroot = "/run/dev-cluster-images"\n`,
  );
  return { CONTAINERS_STORAGE_CONF: settings, BUILDAH_ISOLATION: 'chroot' };
}

/** Runs buildah in the project's folder and returns what it printed on standard output. @throws ExecaError with all of it */
export async function buildah(...args: string[]): Promise<string> {
  const { stdout } = await execa('buildah', args, {
    cwd: PROJECT_DIR,
    env: buildahEnvironment(),
    stdin: 'ignore',
  });
  return stdout.trim();
}

/** Id of an image in the storage; undefined where there is none of that name. */
export async function imageId(reference: string): Promise<string | undefined> {
  const { stdout, failed } = await execa(
    'buildah',
    ['inspect', '--type', 'image', '--format', '{{.FromImageID}}', reference],
    { env: buildahEnvironment(), reject: false },
  );
  return failed ? undefined : stdout.trim();
}
