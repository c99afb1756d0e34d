import { describe, expect, it } from 'vitest';
import { brokenCare, brokenSecurityRules, fixedUsers, missingProbes } from './pod-rules.ts';
import type { PodSpec } from './pod-rules.ts';
import { appliedPods, madePods } from './pods.ts';
import { build, COMPONENTS, findKubectl, NO_KUBECTL, OVERLAYS } from './render.ts';

const kubectl = findKubectl();
describe.skipIf(kubectl === null)(`pods of the overlays (skipped where ${NO_KUBECTL})`, () => {
  describe.each(OVERLAYS)('%s', (overlay) => {
    const objects = kubectl === null ? [] : build(kubectl, `overlays/${overlay}`);
    const applied = appliedPods(objects);
    const made = kubectl === null ? [] : madePods(overlay, objects);

    it('has a worker', () => {
      expect(applied.map(([name]) => name)).toContain('Deployment/shelfcast-worker');
    });

    it.each([...applied, ...made])('%s satisfies the restricted pod security standard', (_, pod) => {
      expect(brokenSecurityRules(pod)).toEqual([]);
    });

    it.each(applied)('%s has limits, a fixed image and mounts no more than it uses', (name, pod) => {
      expect(brokenCare(pod, { usesApi: name === 'Deployment/shelfcast-worker' })).toEqual([]);
    });

    it.each(applied)('%s has probes', (_, pod) => {
      expect(missingProbes(pod)).toEqual([]);
    });

    // Elsewhere somebody must choose, and does (components/plain-kubernetes).
    if (overlay !== 'openshift-ai') return;
    it.each([...applied, ...made])('%s satisfies restricted-v2: nobody chose its user', (_, pod) => {
      expect(fixedUsers(pod)).toEqual([]);
    });
  });
});

describe.skipIf(kubectl === null)(`pods with optional components (skipped where ${NO_KUBECTL})`, () => {
  it.each(COMPONENTS)('%s keeps to the rules', (component) => {
    const objects = build(kubectl ?? '', 'overlays/kubernetes', { components: [component] });
    for (const [name, pod] of [...appliedPods(objects), ...madePods('kubernetes', objects)]) {
      expect(brokenSecurityRules(pod), name).toEqual([]);
    }
    for (const [name, pod] of appliedPods(objects)) {
      expect(brokenCare(pod, { usesApi: name === 'Deployment/shelfcast-worker' }), name).toEqual([]);
    }
  });
});

describe('the rules for pods', () => {
  const careless: PodSpec = {
    hostNetwork: true,
    volumes: [{ name: 'docker', hostPath: { path: '/run' } }],
    containers: [{ name: 'app', image: 'app:latest', securityContext: { runAsUser: 0 } }],
  };

  it('reject a pod without security settings', () => {
    expect(brokenSecurityRules(careless)).toEqual([
      'uses the host',
      'volume docker is a hostPath',
      'container app may run as root',
      'container app has no seccomp profile',
      'container app may gain privileges',
      'container app keeps capabilities',
      'container app may write to its image',
    ]);
    expect(brokenCare(careless, { usesApi: false })).toHaveLength(7);
    expect(missingProbes(careless)).toHaveLength(3);
    expect(fixedUsers(careless)).toEqual(['sets runAsUser']);
  });
});
