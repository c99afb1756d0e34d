/** The overlays as kubectl builds them. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { loadYaml } from '@kubernetes/client-node';
import { execaSync } from 'execa';
import { PROJECT_DIR } from '../../platform.ts';

export const MANIFESTS = join(PROJECT_DIR, 'infra', 'manifests');
export const OVERLAYS = ['kubernetes', 'openshift-ai', 'trial'] as const;
export type Overlay = (typeof OVERLAYS)[number];
/** Components that a user may add to the overlay `kubernetes`. */
export const COMPONENTS = [
  'authorities',
  'monitoring',
  'postgres-cloudnative',
  'sources',
  'temporal-cloud/api-key',
  'temporal-cloud/mtls',
] as const;

export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  [field: string]: unknown;
}

/** The first of: kubectl on the PATH, that of a dev cluster that was built here. Null when there is none. */
export function findKubectl(): string | null {
  const cache = process.env['DEV_CLUSTER_CACHE'] ?? join(homedir(), '.cache', 'dev-cluster');
  const built = join(cache, 'bin', 'kubectl');
  const candidates = ['kubectl', ...(existsSync(built) ? [built] : [])];
  return (
    candidates.find((each) => !execaSync(each, ['version', '--client'], { reject: false }).failed) ?? null
  );
}

export const NO_KUBECTL =
  'kubectl is not here, which builds the overlays: install it, or build the dev cluster';

interface Additions {
  components?: readonly string[];
  namespace?: string;
}

/** @param additions What an overlay of one's own puts on top. */
export function build(kubectl: string, folder: string, additions: Additions = {}): Manifest[] {
  const { components = [], namespace } = additions;
  const own = mkdtempSync(join(tmpdir(), 'shelfcast-overlay-'));
  try {
    const pathTo = (name: string): string => relative(own, join(MANIFESTS, name));
    const kustomization = {
      resources: [pathTo(folder)],
      components: components.map((name) => pathTo(`components/${name}`)),
      ...(namespace === undefined ? {} : { namespace }),
    };
    writeFileSync(join(own, 'kustomization.yaml'), JSON.stringify(kustomization));
    const { stdout } = execaSync(kubectl, ['kustomize', own]);
    return stdout.split(/^---$/m).map(parse);
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

/** Objects of a file that an administrator applies apart. */
export const readManifests = (file: string): Manifest[] =>
  readFileSync(join(MANIFESTS, file), 'utf8').split(/^---$/m).map(parse);

/** The library makes objects of known kinds into its classes, which have other names and drop what they do not know; not one inside another. */
function parse(text: string): Manifest {
  return loadYaml<{ object: Manifest }>(`object:\n${text.replace(/^(?=.)/gm, '  ')}`).object;
}

export const nameOf = ({ kind, metadata }: Manifest): string => `${kind}/${metadata.name}`;
