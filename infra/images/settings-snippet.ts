/** Lines for an overlay (infra/manifests/overlays/) that select the images that were built. */
import type { Image } from './image-names.ts';
import { imageName } from './image-names.ts';

export interface BuiltImage {
  image: Image;
  /** Registry, path and name. */
  repository: string;
  tag: string;
  /** Known once it is pushed. */
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
  // Workers start their pods, so no manifest names these.
  const ofWorker = images.filter(({ image }) => image !== 'worker');
  if (ofWorker.length > 0) lines.push('# kubernetes.yaml', 'images:');
  for (const built of ofWorker) lines.push(`  ${built.image}: ${reference(built)}`);
  return lines.join('\n');
}
