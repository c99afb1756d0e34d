/** The manifests as the API server and the operators' webhooks take them: everything but the writing is real. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Manifest } from '../../infra/manifests/render.ts';
import {
  build,
  COMPONENTS,
  findKubectl,
  nameOf,
  OVERLAYS,
  readManifests,
} from '../../infra/manifests/render.ts';
import { appliedPods, madePods } from '../../infra/manifests/pods.ts';
import { kubectl, kubectlWith } from '../kubectl.ts';

const namespace = `manifests-${randomBytes(3).toString('hex')}`;
const program = findKubectl() ?? '';

beforeAll(async () => {
  await kubectl('create', 'namespace', namespace);
  await kubectl('label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted');
});
afterAll(() => kubectl('delete', 'namespace', namespace));

/** Kinds of operators that this cluster may lack. */
const OPTIONAL = ['monitoring.coreos.com/v1', 'postgresql.cnpg.io/v1'];

async function knownKinds(objects: readonly Manifest[]): Promise<Manifest[]> {
  const groups = (await kubectl('api-versions')).split('\n');
  const unknown = objects.filter(({ apiVersion }) => !groups.includes(apiVersion));
  expect(unknown.filter(({ apiVersion }) => !OPTIONAL.includes(apiVersion)).map(nameOf)).toEqual([]);
  return objects.filter((object) => !unknown.includes(object));
}

/** A line for each object that would be made or changed. */
async function dryRun(objects: readonly object[]): Promise<string[]> {
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  const options = ['--dry-run=server', '--validate=strict', '--server-side', '--force-conflicts'];
  return (await kubectlWith(JSON.stringify(list), 'apply', ...options, '--filename=-')).split('\n');
}

describe('the manifests on a cluster', () => {
  it.each(OVERLAYS)('%s is taken as it is', async (overlay) => {
    const objects = await knownKinds(build(program, `overlays/${overlay}`, { namespace }));
    expect(await dryRun(objects)).toHaveLength(objects.length);
  });

  it.each(COMPONENTS)('%s is taken as it is', async (component) => {
    const additions = { namespace, components: [component] };
    const objects = await knownKinds(build(program, 'overlays/kubernetes', additions));
    expect(await dryRun(objects)).toHaveLength(objects.length);
  });

  it.each(['kubernetes', 'openshift-ai'])(
    'the Gateway that an administrator applies for %s is taken',
    async (overlay) => {
      const objects = readManifests(`overlays/${overlay}/admin/gateway.yaml`).map((object) => ({
        ...object,
        metadata: {
          name: object.metadata.name,
          ...(object.metadata.namespace === undefined ? {} : { namespace }),
        },
      }));
      expect(await dryRun(objects)).toHaveLength(objects.length);
    },
  );

  it.each(OVERLAYS)('every pod of %s is admitted where the standard is restricted', async (overlay) => {
    const objects = build(program, `overlays/${overlay}`, { namespace });
    const specs = [...appliedPods(objects), ...madePods(overlay, objects)];
    const pods = specs.map(([, spec], i) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `pod-${i}`, namespace },
      spec: {
        ...spec,
        // Fields that an operator adds.
        containers: spec.containers.map((container) => ({ image: 'any:1', ...container })),
        // An account that exists here.
        serviceAccountName: 'default',
      },
    }));
    expect(await dryRun(pods)).toHaveLength(specs.length);
  });

  it('a pod that is not restricted is refused there', async () => {
    const careless = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'careless', namespace },
      spec: { containers: [{ name: 'any', image: 'any:1' }] },
    };
    await expect(dryRun([careless])).rejects.toThrow(/violates PodSecurity "restricted/);
  });
});
