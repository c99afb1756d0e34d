/** Lines for an overlay (infra/manifests/overlays/) that select the images that were built. */
import type { Image } from './image-names.ts';
import { imageName } from './image-names.ts';

export interface BuiltImage {
  image: Image;
  /** Registry, path and name. */
  repository: string;
  tag: string;
  /** Digest of a pushed image; undefined before. */
  digest: string | undefined;
}

/** Reference by digest where there is one, since a tag may be moved. */
export const reference = ({ repository, tag, digest }: BuiltImage): string =>
  digest === undefined ? `${repository}:${tag}` : `${repository}@${digest}`;

export function settingsSnippet(images: BuiltImage[]): string {
  const lines = ['# kustomization.yaml', 'images:'];
  for (const built of images) {
    const which = built.digest === undefined ? `newTag: '${built.tag}'` : `digest: ${built.digest}`;
    lines.push(`  - { name: ${imageName(built.image)}, newName: ${built.repository}, ${which} }`);
  }
  // Workers create the pods of these images, so kubernetes.yaml names them, not a manifest.
  const startedByWorkers = images.filter(({ image }) => image !== 'worker');
  if (startedByWorkers.length > 0) lines.push('# kubernetes.yaml', 'images:');
  for (const built of startedByWorkers) lines.push(`  ${built.image}: ${reference(built)}`);
  return lines.join('\n');
}
