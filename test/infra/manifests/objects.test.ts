import type { V1Role } from '@kubernetes/client-node';
import { describe, expect, it } from 'vitest';
import { WORKER_RIGHTS } from '../../../infra/kubernetes/doctor/rights.ts';
import { isBuiltIn, wrongFields } from './field-check.ts';
import type { Manifest } from './render.ts';
import { build, COMPONENTS, findKubectl, nameOf, NO_KUBECTL, OVERLAYS } from './render.ts';

const kubectl = findKubectl();
const CLUSTER_KINDS = ['Namespace'];

/** Each text in the object, with the path to it. */
function textsOf(value: unknown, path: string): [string, string][] {
  if (typeof value === 'string') return [[path, value]];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => textsOf(item, `${path}.${key}`));
}

const flat = (rights: readonly { group: string; resource: string; verbs: readonly string[] }[]): string[] =>
  rights.flatMap(({ group, resource, verbs }) => verbs.map((verb) => `${verb} ${resource} ${group}`)).sort();

function granted(objects: readonly Manifest[]): string[] {
  const roles = objects.filter(({ kind }) => /Role$/.test(kind)) as unknown as V1Role[];
  expect(roles.map((role) => role.metadata?.name)).toEqual(['shelfcast-worker']);
  return flat(
    (roles[0]?.rules ?? []).flatMap(({ apiGroups = [], resources = [], verbs }) =>
      apiGroups.flatMap((group) => resources.map((resource) => ({ group, resource, verbs }))),
    ),
  );
}

describe.skipIf(kubectl === null)(`objects of the overlays (skipped where ${NO_KUBECTL})`, () => {
  describe.each(OVERLAYS)('%s', (overlay) => {
    const objects = kubectl === null ? [] : build(kubectl, `overlays/${overlay}`);

    it('has fields that exist, of the right types', () => {
      expect(objects.filter(({ apiVersion }) => isBuiltIn(apiVersion)).flatMap(wrongFields)).toEqual([]);
    });

    it('has no two objects of one name', () => {
      const names = objects.map(nameOf);
      expect(names).toEqual([...new Set(names)]);
    });

    it('is all in one namespace, with the labels of shelfcast', () => {
      for (const object of objects.filter(({ kind }) => !CLUSTER_KINDS.includes(kind))) {
        expect(object.metadata.namespace, nameOf(object)).toBe('shelfcast');
      }
      const unlabelled = objects.filter(
        ({ kind, metadata }) =>
          kind !== 'Namespace' && metadata.labels?.['app.kubernetes.io/part-of'] !== 'shelfcast',
      );
      expect(unlabelled.map(nameOf)).toEqual([]);
    });

    it('is not labelled as an object of the workers', () => {
      const managed = objects.filter(
        ({ metadata }) => metadata.labels?.['app.kubernetes.io/managed-by'] === 'shelfcast',
      );
      expect(managed.map(nameOf)).toEqual([]);
    });

    it('holds no secret', () => {
      expect(objects.filter(({ kind }) => kind === 'Secret').map(nameOf)).toEqual([]);
      const credentials = objects
        .flatMap((object) => textsOf(object, nameOf(object)))
        .filter(([, text]) => /:\/\/[^/\s:@]+:[^/\s@$]+@/.test(text));
      expect(credentials).toEqual([]);
    });

    it('gives workers exactly the rights that their adapters use', () => {
      expect(granted(objects)).toEqual(flat(WORKER_RIGHTS));
    });
  });

  it.each(COMPONENTS)('the component %s has fields that exist, and no secret', (component) => {
    const objects = build(kubectl ?? '', 'overlays/kubernetes', { components: [component] });
    expect(objects.filter(({ apiVersion }) => isBuiltIn(apiVersion)).flatMap(wrongFields)).toEqual([]);
    expect(objects.filter(({ kind }) => kind === 'Secret').map(nameOf)).toEqual([]);
  });

  it('leaves cluster-wide objects to an administrator', () => {
    const names = build(kubectl ?? '', 'overlays/openshift-ai').map(nameOf);
    const apart = /^(Gateway|GatewayClass|DataScienceCluster|SecurityContextConstraints|ClusterRole.*)\//;
    expect(names.filter((name) => apart.test(name))).toEqual([]);
  });
});

describe('the check of fields', () => {
  const service = (spec: object): Manifest => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'any' },
    spec,
  });

  it('finds a field that does not exist, at any depth', () => {
    expect(wrongFields(service({ ports: [{ port: 80, targetport: 80 }] }))).toEqual([
      'Service.spec.ports[0].targetport does not exist',
    ]);
  });

  it('finds a value of another type', () => {
    expect(wrongFields(service({ ports: [{ port: '80' }], selector: ['app'] }))).toEqual([
      'Service.spec.ports[0].port must be a number, not "80"',
      'Service.spec.selector must be a map',
    ]);
  });
});
