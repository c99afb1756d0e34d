/** The images that tests start: the project's own, built from its Containerfiles, and those of others that it uses. */
import { join } from 'node:path';
import { buildCommand } from '../../../infra/images/builder.ts';
import { containerfile, imageName } from '../../../infra/images/image-names.ts';
import { withLock } from '../../../infra/local/lock.ts';
import { PROJECT_DIR } from '../../platform.ts';
import { DEV_KUBECONFIG } from '../dev-cluster.ts';
import { buildah, imageId, imagesFolder } from './buildah.ts';
import { forgetOthers, giveToNode, nameOnNode, nodeHas } from './node-images.ts';
import { clientMounts } from './package-clients.ts';
import { ensureStandIn } from './stand-ins.ts';

export const TEST_IMAGES = ['predictor', 'worker', 'postgres', 'temporal', 'ml'] as const;
export type TestImage = (typeof TEST_IMAGES)[number];

const BASES = { worker: 'node', predictor: 'node', ml: 'python' } as const;

/**
 * Builds what is new, makes the cluster's node know it, and returns the names by which pods find it. Seconds when nothing changed.
 * On a cluster other than the dev cluster the images must be in a registry: see `imagesOfRegistry`.
 */
export async function loadImages<T extends TestImage = TestImage>(
  names: readonly T[] = TEST_IMAGES as readonly TestImage[] as readonly T[],
): Promise<Record<T, string>> {
  const loaded = await (isDevCluster() ? loadIntoDevCluster(names) : imagesOfRegistry());
  return loaded as Record<T, string>;
}

const isDevCluster = (): boolean =>
  (process.env['KUBECONFIG'] ?? DEV_KUBECONFIG).split(':')[0] === DEV_KUBECONFIG;

/** Image references that `npm run images -- --push` printed, from SHELFCAST_IMAGE_REGISTRY and SHELFCAST_IMAGE_TAG. */
function imagesOfRegistry(): Record<TestImage, string> {
  const registry = process.env['SHELFCAST_IMAGE_REGISTRY'];
  const tag = process.env['SHELFCAST_IMAGE_TAG'];
  if (registry === undefined || tag === undefined) {
    throw new Error(
      'the cluster of KUBECONFIG takes images from a registry: set SHELFCAST_IMAGE_REGISTRY and SHELFCAST_IMAGE_TAG, ' +
        'type `npm run images -- --push`, and start the tests with the same variables',
    );
  }
  const own = (name: string) => `${registry}/shelfcast-${name}:${tag}`;
  return {
    worker: own('worker'),
    predictor: own('predictor'),
    ml: own('ml'),
    postgres: 'docker.io/library/postgres:18',
    temporal: 'docker.io/temporalio/temporal:1.5.1',
  };
}

async function loadIntoDevCluster(names: readonly TestImage[]): Promise<Partial<Record<TestImage, string>>> {
  return withLock(join(imagesFolder(), 'lock'), async () => {
    const loaded: Partial<Record<TestImage, string>> = {};
    for (const name of names) loaded[name] = await load(name);
    return loaded;
  });
}

async function load(name: TestImage): Promise<string> {
  const isOwn = name in BASES;
  const built = isOwn
    ? await buildOwn(name as keyof typeof BASES)
    : await ensureStandIn(name as 'postgres' | 'temporal');
  const id = await imageId(built);
  if (id === undefined) throw new Error(`buildah built ${built} but has no image of that name`);
  // By its content, so that a pod never gets what an earlier build left under the same name.
  const image = `localhost/shelfcast-${name}:${id.slice(0, 12)}`;
  if (await nodeHas(image)) return image;
  process.stderr.write(`giving ${image} to the node\n`);
  await giveToNode(built, image);
  await forgetOthers(image);
  // Manifests as a user has them name it so.
  if (!isOwn) await nameOnNode(image, built);
  return image;
}

/** Builds an image of the project from the stand-ins. Returns its name in buildah's storage. */
async function buildOwn(image: keyof typeof BASES): Promise<string> {
  await ensureStandIn(BASES[image]);
  const reference = `localhost/${imageName(image)}:test`;
  const command = buildCommand('buildah', {
    contextDir: PROJECT_DIR,
    containerfile: containerfile(image),
    reference,
    // Without a revision: a commit that changes nothing else makes no new image.
    labels: {},
    extraArgs: [
      '--pull-never',
      // Nothing here has a GPU.
      ...(image === 'ml' ? ['--build-arg', 'ACCELERATOR=cpu'] : []),
      ...(await clientMounts()),
    ],
  });
  await buildah(...command);
  return reference;
}
