import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { findBuilder } from '../../infra/images/builder.ts';
import type { Image } from '../../infra/images/image-names.ts';
import { containerfile, IMAGES } from '../../infra/images/image-names.ts';
import { PROJECT_DIR } from '../platform.ts';

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;

let bin: string;
beforeEach(() => {
  bin = mkdtempSync(join(tmpdir(), 'shelfcast-images-'));
  // A PATH with what the programs below need, but without this machine's builders.
  vi.stubEnv('PATH', `${bin}:${dirname(process.execPath)}-none:/bin-none`);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(bin, { recursive: true, force: true });
});

/** A program that notes how it was called, and then does what the lines say. */
function fake(name: string, ...lines: string[]): void {
  const script = ['#!/bin/sh', `echo "${name} $*" >>${bin}/calls`, ...lines].join('\n');
  writeFileSync(join(bin, name), script);
  chmodSync(join(bin, name), 0o755);
}
const calls = () => readFileSync(join(bin, 'calls'), 'utf8').trim().split('\n');

const npmRunImages = (...args: string[]) =>
  execa(process.execPath, ['--import', 'tsx', 'infra/images/build-main.ts', ...args], {
    cwd: PROJECT_DIR,
    env: {
      PATH: `${bin}:/usr/bin:/bin`,
      SHELFCAST_IMAGE_REGISTRY: undefined,
      SHELFCAST_IMAGE_TAG: undefined,
    },
    reject: false,
  });

describe('the program that builds images', () => {
  it('is the first that works, since Docker may be installed without its daemon', async () => {
    fake('docker', 'echo "Cannot connect to the Docker daemon" >&2; exit 1');
    await expect(findBuilder()).rejects.toThrow(
      'no program here can build images (buildah: not installed; podman: not installed; docker: Cannot connect to the Docker daemon)',
    );
    fake('podman');
    await expect(findBuilder()).resolves.toBe('podman');
    await expect(findBuilder(['docker'])).rejects.toThrow('docker: Cannot connect');
  });
});

describe('npm run images', () => {
  it('builds the named images with the arguments of the user', async () => {
    fake('buildah');
    const { stdout, exitCode } = await npmRunImages(
      ...['worker', 'ml', '--builder', 'buildah', '--tag', '7', '--', '--build-arg', 'ACCELERATOR=cpu'],
    );
    expect(exitCode).toBe(0);
    const [, worker, ml] = calls();
    expect(worker).toMatch(
      /^buildah build --layers --file infra\/images\/worker\.Containerfile --tag shelfcast-worker:7 --label org\.opencontainers\.image\.version=\d+\.\d+\.\d+ (--label org\.opencontainers\.image\.revision=[0-9a-f]{40} )?--build-arg ACCELERATOR=cpu \.$/,
    );
    expect(ml).toContain('--file infra/images/ml.Containerfile --tag shelfcast-ml:7');
    expect(ml).toMatch(
      / --build-arg SHELFCAST_COMMIT=\d+\.\d+\.\d+(-[0-9a-f]{12}(-dirty)?)? --build-arg ACCELERATOR=cpu \.$/,
    );
    expect(stdout).toBe(
      [
        'shelfcast-worker:7',
        'shelfcast-ml:7',
        '',
        '# kustomization.yaml',
        'images:',
        "  - { name: shelfcast-worker, newName: shelfcast-worker, newTag: '7' }",
        "  - { name: shelfcast-ml, newName: shelfcast-ml, newTag: '7' }",
        '# kubernetes.yaml',
        'images:',
        '  ml: shelfcast-ml:7',
      ].join('\n'),
    );
  });

  it('builds all images, with a tag that names the sources', async () => {
    fake('podman');
    const { stdout } = await npmRunImages('--builder', 'podman', '--registry', 'registry.example.com/a');
    expect(calls().slice(1)).toHaveLength(IMAGES.length);
    expect(stdout).toMatch(
      /^registry\.example\.com\/a\/shelfcast-worker:\d+\.\d+\.\d+(-[0-9a-f]{12}(-dirty)?)?$/m,
    );
  });

  it.each([
    // `push --digestfile FILE REFERENCE`
    ['buildah', `[ "$1" != push ] || echo ${DIGEST} >"$3"`],
    [
      'docker',
      `[ "$1 $2" != "image inspect" ] || printf '%s\\n' elsewhere/shelfcast-predictor@sha256:0 registry.example.com:5000/a/shelfcast-predictor@${DIGEST}`,
    ],
  ])('pushes with %s and names what it pushed by digest', async (builder, line) => {
    fake(builder, line);
    const { stdout, stderr } = await npmRunImages(
      ...[
        'predictor',
        '--builder',
        builder,
        '--registry',
        'registry.example.com:5000/a',
        '--tag',
        '7',
        '--push',
      ],
    );
    const pushed = `registry.example.com:5000/a/shelfcast-predictor@${DIGEST}`;
    expect(stdout.split('\n')[0], stderr).toBe(pushed);
    expect(stdout).toContain(
      `{ name: shelfcast-predictor, newName: registry.example.com:5000/a/shelfcast-predictor, digest: ${DIGEST} }`,
    );
    expect(stdout).toContain(`\n  predictor: ${pushed}`);
  });

  it.each([
    ['--push without a registry', ['--push'], '--push needs --registry'],
    ['an image that is none', ['console'], 'Allowed choices are worker, predictor, ml'],
    ['a build that fails', ['ml', '--builder', 'buildah'], '`buildah build --layers --file'],
  ])('reports the error: %s', async (_, args, sentence) => {
    fake('buildah', '[ "$1" = info ]');
    const { exitCode, stderr } = await npmRunImages(...args);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(sentence);
  });
});

describe('the Containerfiles', () => {
  const text = (image: Image) => readFileSync(join(PROJECT_DIR, containerfile(image)), 'utf8');

  it.each(['worker', 'predictor'] as const)('%s keeps every package that its sources import', (image) => {
    const { dependencies } = JSON.parse(readFileSync(join(PROJECT_DIR, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    const uninstalled = /npm uninstall((?:\\\n|.)*)/.exec(text(image))?.[1]?.split(/[\s\\]+/) ?? [];
    const removed = uninstalled.filter((word) => word !== '' && !word.startsWith('--'));
    expect(
      removed.filter((name) => !(name in dependencies)),
      'packages that are no dependency',
    ).toEqual([]);
    const folders = Array.from(text(image).matchAll(/^COPY (\w+) \1$/gm), ([, folder]) => folder as string);
    const imported = new Set(folders.flatMap((folder) => importedPackages(folder)));
    expect([...imported].filter((name) => removed.includes(name))).toEqual([]);
    expect(removed).not.toContain('tsx');
  });

  it('ml installs with the uv that a development machine uses', () => {
    const version = /const UV_VERSION = '(.*)'/.exec(
      readFileSync(join(PROJECT_DIR, 'infra/local/toolchain.ts'), 'utf8'),
    );
    expect(text('ml')).toContain(`ARG UV_VERSION=${version?.[1] ?? '?'}\n`);
  });

  it.each(IMAGES)('%s runs as a numeric user that is not root, and has a description', (image) => {
    expect(text(image)).toMatch(/^USER 1001:0$/m);
    expect(text(image)).toContain(`org.opencontainers.image.title="shelfcast-${image}"`);
    const stages = Array.from(text(image).matchAll(/^FROM \S+ AS (\S+)$/gm), ([, stage]) => stage);
    const bases = Array.from(text(image).matchAll(/^FROM (\S+)/gm), ([, base]) => base ?? '');
    const settable = /^\$\{(NODE|PYTHON)_IMAGE\}$/;
    expect(bases.filter((base) => !settable.test(base) && !stages.includes(base))).toEqual([]);
  });
});

/** Names of packages that TypeScript files below a folder load when they run; types are gone by then. */
function importedPackages(folder: string): string[] {
  const files = readdirSync(join(PROJECT_DIR, folder), { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => /\.m?ts$|\.mjs$/.test(file))
    .flatMap((file) => {
      const source = readFileSync(join(PROJECT_DIR, folder, file), 'utf8');
      const specifiers = source.matchAll(/^(?:import|export)(?! type)[^;]*? from '([^'.][^']*)'/gm);
      return Array.from(specifiers, ([, specifier]) => specifier as string);
    })
    .filter((specifier) => !specifier.startsWith('node:'))
    .map((specifier) =>
      specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/'),
    );
}
