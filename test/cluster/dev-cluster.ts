/** The one-node Kubernetes of `dev-cluster/`: whether this machine can run it, its start and its end. */
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { execa } from 'execa';

const FOLDER = join(import.meta.dirname, 'dev-cluster');
const RUN_FOLDER = '/run/dev-cluster';
export const DEV_KUBECONFIG = join(RUN_FOLDER, 'kubeconfig');
/** Address of this machine as pods reach it. */
export const HOST_ADDRESS = '172.31.250.254';
/** Address of the node, and of its gateway, as this machine reaches them. */
export const NODE_ADDRESS = '172.31.250.1';
export const GATEWAY_URL = `http://${NODE_ADDRESS}`;

/** Required commands and the Debian packages that provide them. */
const COMMANDS: Record<string, string> = {
  containerd: 'containerd',
  runc: 'runc',
  iptables: 'iptables',
  conntrack: 'conntrack',
  ethtool: 'ethtool',
  socat: 'socat',
  ip: 'iproute2',
  mmdebstrap: 'mmdebstrap',
  buildah: 'buildah',
};
/** Disk space for three unpacked images and the temporary files of their builds. */
const LEAST_FREE_BYTES = 12e9;
/** Binary that is built last; where it exists, all do. */
const LAST_BINARY = 'pause';

function isCommand(name: string): boolean {
  // Daemons are in folders that a plain user's PATH may lack.
  const folders = `${process.env['PATH'] ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`.split(delimiter);
  return folders.some((folder) => existsSync(join(folder, name)));
}

/** Missing Debian packages that the dev cluster needs. */
function missingPackages(): string[] {
  const missing = Object.keys(COMMANDS).filter((name) => !isCommand(name));
  const packages = missing.flatMap((name) => COMMANDS[name] ?? []);
  return existsSync('/usr/lib/cni/bridge') ? packages : [...packages, 'containernetworking-plugins'];
}

/** Reason why this machine cannot run the dev cluster, as a sentence; null when it can. */
export function whyImpossible(): string | null {
  if (process.platform !== 'linux') return 'the dev cluster needs Linux';
  if (process.getuid?.() !== 0) return 'the dev cluster makes namespaces and mounts, which only root may';
  if (!isCommand('go')) return 'the dev cluster is built with Go, which is not here';
  if (missingPackages().length > 0 && !isCommand('apt-get')) {
    return `the dev cluster needs ${missingPackages().join(', ')}, and there is no apt-get to install them`;
  }
  const free = freeBytes();
  if (free < LEAST_FREE_BYTES) {
    const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
    return `the images of the dev cluster need ${gigabytes(LEAST_FREE_BYTES)} GB of disk, and ${gigabytes(free)} are free`;
  }
  return null;
}

function freeBytes(): number {
  const { bavail, bsize } = statfsSync('/var/lib');
  return bavail * bsize;
}

export const cacheFolder = (): string =>
  process.env['DEV_CLUSTER_CACHE'] ?? join(homedir(), '.cache', 'dev-cluster');

/** Whether `up` has nothing to build, which takes a quarter of an hour. */
export const isBuilt = (): boolean => existsSync(join(cacheFolder(), 'bin', LAST_BINARY));

export const kubectl = (): string => join(cacheFolder(), 'bin', 'kubectl');

const say = { stdout: ['inherit'], stderr: ['inherit'], stdin: 'ignore' } as const;

/** Installs and builds what is missing and brings the cluster up. Returns whether it was down before. */
export async function bringUp(): Promise<boolean> {
  const packages = missingPackages();
  if (packages.length > 0) {
    process.stderr.write(`installing ${packages.join(', ')}\n`);
    await execa('apt-get', ['update', '-qq'], say);
    await execa('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], say);
  }
  const wasDown = !existsSync(DEV_KUBECONFIG);
  await execa(join(FOLDER, 'up'), say);
  return wasDown;
}

export async function takeDown(): Promise<void> {
  await execa(join(FOLDER, 'down'), ['--keep-state'], say);
}

export const componentPidFile = (name: string): string => join(RUN_FOLDER, 'pids', name);

/** Process id of a component of the cluster, for tests that end or stop it. */
export function componentPid(name: string): number {
  const [pid] = readFileSync(componentPidFile(name), 'utf8').split(' ');
  return Number(pid);
}
