/** docs/kubernetes.md on a cluster, block by block as it stands; only the values that are the reader's to change are changed. */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROJECT_DIR } from '../../platform.ts';
import { kubectl as kubectlPath } from '../dev-cluster.ts';
import { loadImages } from '../images/images.ts';
import { nameOnNode } from '../images/node-images.ts';
import { kubectl, kubectlJson } from '../kubectl.ts';

const PAGE = join(PROJECT_DIR, 'docs', 'kubernetes.md');
const MARK = '# tested\n';
const namespace = `docs-${randomBytes(3).toString('hex')}`;
const TAG = 'docs';

/** Blocks that the page says are tested, under their headings. */
function testedBlocks(): [string, string][] {
  const blocks: [string, string][] = [];
  let heading = '';
  for (const part of readFileSync(PAGE, 'utf8').split(/^(## .*|```sh\n[^]*?^```)$/m)) {
    if (part.startsWith('## ')) heading = part.slice(3);
    const code = /^```sh\n([^]*)```$/.exec(part)?.[1];
    if (code?.startsWith(MARK) === true) blocks.push([heading, code.slice(MARK.length)]);
  }
  return blocks;
}

/** Values that the reader replaces. */
const withOurValues = (code: string): string =>
  code
    .replace(/^export NAMESPACE=.*$/m, `export NAMESPACE=${namespace}`)
    .replace(/^export REGISTRY=.*$/m, 'export REGISTRY=localhost')
    .replace(/^export TAG=.*$/m, `export TAG=${TAG}`);

let folder: string;
let openVolumes: NodeJS.Timeout;

beforeAll(async () => {
  const images = await loadImages();
  for (const name of ['worker', 'ml', 'predictor'] as const) {
    await nameOnNode(images[name], `localhost/shelfcast-${name}:${TAG}`);
  }
  folder = mkdtempSync(join(tmpdir(), 'shelfcast-docs-'));
  // A clone in which blocks may write.
  for (const name of readdirSync(PROJECT_DIR).filter((each) => each !== 'infra' && each !== 'deploy')) {
    symlinkSync(join(PROJECT_DIR, name), join(folder, name));
  }
  mkdirSync(join(folder, 'infra'));
  cpSync(join(PROJECT_DIR, 'infra', 'manifests'), join(folder, 'infra', 'manifests'), { recursive: true });
  // Programs that the reader has.
  mkdirSync(join(folder, 'my-sales'));
  writeFileSync(join(folder, 'my-sales', 'stores.csv'), 'Store,Type,Size\n1,A,1000\n');
  openVolumes = setInterval(() => void openFolders().catch(() => undefined), 500);
}, 900_000);

afterAll(async () => {
  clearInterval(openVolumes);
  await kubectl('delete', 'namespace', namespace, '--ignore-not-found');
  // It is the whole cluster's, and so that of other tests.
  const runtime = join(PROJECT_DIR, 'infra', 'manifests', 'base', 'training-runtime.yaml');
  await kubectl('apply', '--server-side', '--force-conflicts', '--filename', runtime);
  rmSync(folder, { recursive: true, force: true });
});

/** The dev cluster's volumes are folders that only root may enter; to a disk Kubernetes would give the group (fsGroup). */
async function openFolders(): Promise<void> {
  const { items } = await kubectlJson<{
    items: { spec: { claimRef?: { namespace: string }; hostPath?: { path: string } } }[];
  }>('get', 'persistentvolumes');
  for (const { spec } of items) {
    if (spec.claimRef?.namespace === namespace && spec.hostPath !== undefined)
      chmodSync(spec.hostPath.path, 0o777);
  }
}

/** Blocks share one shell's variables, as a reader's do. */
async function type(code: string): Promise<string> {
  const variables = join(folder, '.variables');
  const script = `set -euo pipefail\nif [ -f ${variables} ]; then . ${variables}; fi\n${code}\nexport -p >${variables}\n`;
  const { all } = await execa('bash', ['-c', script], {
    cwd: folder,
    all: true,
    stdin: 'ignore',
    env: { PATH: `${dirname(kubectlPath())}:${process.env['PATH'] ?? ''}` },
  });
  return all;
}

describe('docs/kubernetes.md', () => {
  it('has commands that are tested', () => {
    expect(testedBlocks().length).toBeGreaterThan(10);
  });

  it.each(testedBlocks())(
    '%s',
    async (heading, code) => {
      const output = await type(withOurValues(code));
      switch (heading) {
        case 'Check the installation':
          expect(output).not.toMatch(/^wrong/m);
          break;
        case 'The first forecast':
          expect(output).toMatch(/version 1 promoted|"forecast":/);
          break;
        default:
      }
    },
    1_200_000,
  );

  it('leaves nothing behind', async () => {
    expect(await kubectl('get', 'namespace', namespace, '--ignore-not-found')).toBe('');
    const { items } = await kubectlJson<{ items: { spec: { claimRef?: { namespace: string } } }[] }>(
      'get',
      'persistentvolumes',
    );
    expect(items.filter(({ spec }) => spec.claimRef?.namespace === namespace)).toEqual([]);
  });
});
