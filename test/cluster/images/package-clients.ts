/**
 * Settings with which npm, pip and uv reach their registries here (mirrors, proxies, certificates). A build mounts them, so that its
 * image contains nothing of the machine that built it.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { imagesFolder } from './buildah.ts';

const UV_CACHE = '/mnt/uv-cache';

/** Arguments `--volume HOST:IMAGE` for a build. */
export async function clientMounts(): Promise<string[]> {
  const folder = join(imagesFolder(), 'clients');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, 'pip.conf'), await pipSettings());
  writeFileSync(join(folder, 'uv.toml'), uvSettings());
  mkdirSync(uvCache(), { recursive: true });
  const { stdout: npmGlobal } = await execa('npm', ['config', 'get', 'globalconfig']);
  const mounts: [string, string][] = [
    ['/etc/ssl/certs', '/etc/ssl/certs:ro'],
    [join(homedir(), '.npmrc'), '/root/.npmrc:ro'],
    [npmGlobal.trim(), '/usr/local/etc/npmrc:ro'],
    [join(folder, 'pip.conf'), '/etc/pip.conf:ro'],
    [join(folder, 'uv.toml'), '/etc/uv/uv.toml:ro'],
    [join(homedir(), '.config/uv/uv.toml'), '/root/.config/uv/uv.toml:ro'],
    [uvCache(), UV_CACHE],
  ];
  return mounts
    .filter(([source]) => existsSync(source))
    .map(([source, target]) => `--volume=${source}:${target}`);
}

/** pip's settings from its files and its variables, as one file. */
async function pipSettings(): Promise<string> {
  const { stdout } = await execa('python3', ['-m', 'pip', 'config', 'list']);
  const lines = Array.from(
    stdout.matchAll(/^\S*\.([a-z-]+)='(.*)'$/gm),
    ([, key, value]) => `${key} = ${value}`,
  );
  return ['[global]', ...new Set(lines), ''].join('\n');
}

function uvSettings(): string {
  const index = process.env['UV_DEFAULT_INDEX'] ?? process.env['UV_INDEX_URL'];
  return [
    'system-certs = true',
    `cache-dir = "${UV_CACHE}"`,
    ...(index === undefined ? [] : [`index-url = "${index}"`]),
    '',
  ].join('\n');
}

/** This machine's own: gigabytes that are there already. */
const uvCache = (): string =>
  process.env['UV_CACHE_DIR'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'uv');
