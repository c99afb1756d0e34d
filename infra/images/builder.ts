/** Building and pushing with the first of buildah, Podman and Docker that works here. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

export const BUILDERS = ['buildah', 'podman', 'docker'] as const;
export type Builder = (typeof BUILDERS)[number];

/** Docker's command is often installed where its daemon is not running, so each is asked. */
const PROBES: Record<Builder, string[]> = {
  buildah: ['info'],
  podman: ['info'],
  docker: ['info', '--format', '{{.ServerVersion}}'],
};

/** The first program that works. @throws Error that says what was tried and what to install */
export async function findBuilder(candidates: readonly Builder[] = BUILDERS): Promise<Builder> {
  const failures: string[] = [];
  for (const builder of candidates) {
    const probe = await execa(builder, PROBES[builder], { reject: false, stdin: 'ignore' });
    if (!probe.failed) return builder;
    const lastLine = probe.stderr.trim().split('\n').at(-1) ?? '';
    failures.push(
      `${builder}: ${probe.code === 'ENOENT' ? 'not installed' : lastLine || probe.shortMessage}`,
    );
  }
  throw new Error(
    `no program here can build images (${failures.join('; ')}); install buildah, Podman or Docker, or start Docker's daemon`,
  );
}

export interface Build {
  /** Folder of files that the build may copy. */
  contextDir: string;
  /** Relative to the folder. */
  containerfile: string;
  /** Name and tag of the result. */
  reference: string;
  labels: Record<string, string>;
  /** Arguments passed to the program unchanged. */
  extraArgs: string[];
}

const COMMANDS: Record<Builder, string[]> = {
  // buildah, unlike the others, caches steps only with this option.
  buildah: ['build', '--layers'],
  podman: ['build'],
  docker: ['build'],
};

export function buildCommand(builder: Builder, build: Build): string[] {
  return [
    ...COMMANDS[builder],
    ...['--file', build.containerfile, '--tag', build.reference],
    ...Object.entries(build.labels).flatMap(([key, value]) => ['--label', `${key}=${value}`]),
    ...build.extraArgs,
    '.',
  ];
}

/** Builds; what the program prints goes to standard error. */
export async function buildImage(builder: Builder, build: Build): Promise<void> {
  await tell(builder, buildCommand(builder, build), build.contextDir);
}

/** Pushes and returns the digest under which the registry knows it. */
export async function pushImage(builder: Builder, reference: string): Promise<string> {
  if (builder === 'docker') return pushWithDocker(reference);
  const dir = mkdtempSync(join(tmpdir(), 'shelfcast-push-'));
  try {
    const digestFile = join(dir, 'digest');
    await tell(builder, ['push', '--digestfile', digestFile, reference]);
    return readFileSync(digestFile, 'utf8').trim();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function pushWithDocker(reference: string): Promise<string> {
  await tell('docker', ['push', reference]);
  const format = '{{range .RepoDigests}}{{println .}}{{end}}';
  const { stdout } = await execa('docker', ['image', 'inspect', '--format', format, reference]);
  const repository = reference.slice(0, reference.lastIndexOf(':'));
  // One image may have been pushed to several registries.
  const named = stdout.split('\n').find((line) => line.startsWith(`${repository}@`));
  if (named === undefined)
    throw new Error(`docker pushed ${reference} but knows no digest of it in ${repository}`);
  return named.slice(repository.length + 1);
}

async function tell(program: string, args: string[], cwd?: string): Promise<void> {
  const result = await execa(program, args, {
    ...(cwd === undefined ? {} : { cwd }),
    // Docker's older builder knows no cache mounts.
    env: { DOCKER_BUILDKIT: '1' },
    stdio: ['ignore', process.stderr, process.stderr],
    reject: false,
  });
  if (result.failed) {
    throw new Error(
      `\`${program} ${args.join(' ')}\` failed with exit code ${result.exitCode ?? 'none'}; see above`,
    );
  }
}
