/** Building and pushing with the first of buildah, Podman and Docker that works here. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

export const BUILDERS = ['buildah', 'podman', 'docker'] as const;
export type Builder = (typeof BUILDERS)[number];

/** Arguments of a command that shows whether the program works: Docker's daemon is often not running. */
const PROBES: Record<Builder, string[]> = {
  buildah: ['info'],
  podman: ['info'],
  docker: ['info', '--format', '{{.ServerVersion}}'],
};

/** Returns the first program that works. @throws Error with what was tried and what to install */
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
  /** Path of the Containerfile, relative to `contextDir`. */
  containerfile: string;
  /** Name and tag of the result. */
  reference: string;
  labels: Record<string, string>;
  /** More arguments for the build program. */
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

/** Builds an image. The output of the program goes to standard error. */
export async function buildImage(builder: Builder, build: Build): Promise<void> {
  await runProgram(builder, buildCommand(builder, build), build.contextDir);
}

/** Pushes an image and returns its digest in the registry. */
export async function pushImage(builder: Builder, reference: string): Promise<string> {
  if (builder === 'docker') return pushWithDocker(reference);
  const dir = mkdtempSync(join(tmpdir(), 'shelfcast-push-'));
  try {
    const digestFile = join(dir, 'digest');
    await runProgram(builder, ['push', '--digestfile', digestFile, reference]);
    return readFileSync(digestFile, 'utf8').trim();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function pushWithDocker(reference: string): Promise<string> {
  await runProgram('docker', ['push', reference]);
  const format = '{{range .RepoDigests}}{{println .}}{{end}}';
  const { stdout } = await execa('docker', ['image', 'inspect', '--format', format, reference]);
  const repository = reference.slice(0, reference.lastIndexOf(':'));
  // One image may have been pushed to several registries.
  const named = stdout.split('\n').find((line) => line.startsWith(`${repository}@`));
  if (named === undefined) throw new Error(`docker pushed ${reference} but has no digest of ${repository}`);
  return named.slice(repository.length + 1);
}

async function runProgram(program: string, args: string[], cwd?: string): Promise<void> {
  const result = await execa(program, args, {
    ...(cwd === undefined ? {} : { cwd }),
    // Docker's older builder has no cache mounts.
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
