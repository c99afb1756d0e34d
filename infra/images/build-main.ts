/** `npm run images -- [NAME...] [OPTIONS] [-- ARGUMENT...]`: builds the project's images and, with `--push`, pushes them. */
import { resolve } from 'node:path';
import { Argument, Command, Option } from 'commander';
import type { Builder } from './builder.ts';
import { buildImage, BUILDERS, findBuilder, pushImage } from './builder.ts';
import type { Image } from './image-names.ts';
import { containerfile, IMAGES, repository } from './image-names.ts';
import type { BuiltImage } from './settings-snippet.ts';
import { reference, settingsSnippet } from './settings-snippet.ts';
import { readSourceVersion } from './source-version.ts';

const PROJECT_DIR = resolve(import.meta.dirname, '..', '..');

interface Options {
  registry: string;
  tag?: string;
  push?: boolean;
  builder?: Builder;
}

const args = process.argv.slice(2);
const separator = args.indexOf('--');
/** Arguments after the first `--`, which go to the build program. */
const extraArgs = separator < 0 ? [] : args.splice(separator).slice(1);

const program = new Command('npm run images --')
  .description('Builds the container images of shelfcast with buildah, Podman or Docker.')
  .usage(`[${IMAGES.join('|')}...] [options] [-- argument of the build...]`)
  .addArgument(new Argument('[images...]', 'images to build; all when none is named').choices(IMAGES))
  .addOption(
    new Option('--registry <path>', 'registry and path before each name, e.g. registry.example.com/forecasts')
      .env('SHELFCAST_IMAGE_REGISTRY')
      .default('', 'none'),
  )
  .addOption(
    new Option('--tag <tag>', 'tag of the images (default: version and git commit)').env(
      'SHELFCAST_IMAGE_TAG',
    ),
  )
  .option('--push', 'push the images and print their digests')
  .addOption(
    new Option(
      '--builder <program>',
      `build program (default: the first of ${BUILDERS.join(', ')} that works)`,
    )
      .choices(BUILDERS)
      .env('SHELFCAST_IMAGE_BUILDER'),
  )
  .showHelpAfterError()
  .action(build);

try {
  await program.parseAsync(args, { from: 'user' });
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}

/** Arguments that pass the commit to the image of the jobs, which has no git history: a model card names the commit. */
function commitArgs(image: Image, sources: string): string[] {
  return image === 'ml' ? ['--build-arg', `SHELFCAST_COMMIT=${sources}`] : [];
}

async function build(named: Image[], { registry, push, ...options }: Options): Promise<void> {
  if (push === true && registry === '') {
    throw new Error('--push needs --registry (or SHELFCAST_IMAGE_REGISTRY)');
  }
  const builder = await findBuilder(options.builder === undefined ? BUILDERS : [options.builder]);
  const { tag, labels } = await readSourceVersion(PROJECT_DIR);
  const images: BuiltImage[] = [];
  for (const image of named.length > 0 ? named : IMAGES) {
    const built: BuiltImage = {
      image,
      repository: repository(image, registry),
      tag: options.tag ?? tag,
      digest: undefined,
    };
    process.stderr.write(`${builder} builds ${reference(built)}\n`);
    await buildImage(builder, {
      contextDir: PROJECT_DIR,
      containerfile: containerfile(image),
      reference: reference(built),
      labels,
      extraArgs: [...commitArgs(image, tag), ...extraArgs],
    });
    if (push === true) built.digest = await pushImage(builder, reference(built));
    images.push(built);
    process.stdout.write(`${reference(built)}\n`);
  }
  process.stdout.write(`\n${settingsSnippet(images)}\n`);
}
