/** The images that the dev cluster's node has: containerd's, in the cluster's namespaces. */
import { execa } from 'execa';
import { componentPid } from '../dev-cluster.ts';
import { buildahEnvironment } from './buildah.ts';

function ctr(...args: string[]): string[] {
  const socket = '/run/dev-cluster/containerd.sock';
  return [
    ...['nsenter', '--target', String(componentPid('holder')), '--mount', '--net'],
    ...['ctr', '--address', socket, '--namespace', 'k8s.io', 'images', ...args],
  ];
}

async function run([program, ...args]: string[]): Promise<string> {
  return (await execa(program as string, args, { stdin: 'ignore' })).stdout;
}

export async function nodeHas(image: string): Promise<boolean> {
  return (await run(ctr('list', '--quiet', `name==${image}`))).trim() === image;
}

/** Hands an image of buildah's storage to the node by a pipe: no second file of gigabytes. */
export async function giveToNode(reference: string, name: string): Promise<void> {
  // A shell, since its pipes can be opened by name and those of Node.js, which are sockets, cannot.
  await execa(
    'bash',
    [
      ...['-c', 'set -o pipefail; buildah push --quiet "$0" "docker-archive:/dev/stdout:$1" | "${@:2}"'],
      ...[reference, name, ...ctr('import', '--snapshotter', 'overlayfs', '-')],
    ],
    { env: buildahEnvironment(), stdin: 'ignore' },
  );
}

/** Makes the node forget what it had under other tags of the same name: gigabytes, with each new set of packages. */
export async function forgetOthers(image: string): Promise<void> {
  const repository = image.replace(/:[^:/]*$/, '');
  const names = (await run(ctr('list', '--quiet'))).split('\n');
  const others = names.filter((name) => name.startsWith(`${repository}:`) && name !== image);
  if (others.length > 0) await run(ctr('remove', ...others));
}

/** Another name for an image that the node has. */
export async function nameOnNode(image: string, name: string): Promise<void> {
  await run(ctr('tag', '--force', image, name));
}
