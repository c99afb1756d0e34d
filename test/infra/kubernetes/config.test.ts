import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseKubernetesConfig, readKubernetesConfig } from '../../../infra/kubernetes/config.ts';
import { PROJECT_DIR } from '../../platform.ts';

const MINIMAL = {
  namespace: 'forecasts',
  images: { ml: 'ml:1', predictor: 'predictor:1' },
  artifacts: { claim: 'artifacts' },
  serving: { url: 'http://models.example', parentRefs: [{ name: 'gateway' }] },
};
const dir = mkdtempSync(join(tmpdir(), 'shelfcast-config-'));
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

it('sets a default for every key that is left out', () => {
  expect(parseKubernetesConfig(MINIMAL)).toMatchObject({
    secret: 'shelfcast',
    environment: {},
    artifacts: { mountPath: '/artifacts' },
    images: { pullPolicy: 'IfNotPresent', pullSecrets: [] },
    jobs: {
      pendingAfterSeconds: 60,
      features: { cluster: { workers: 1, head: { resources: { requests: { cpu: '1' } } } } },
      training: { processesPerNode: 1, gpusPerNode: 0, runtime: 'shelfcast-torch' },
    },
  });
});

describe('one message for each invalid key', () => {
  it.each([
    [
      { jobs: { quue: 'night', programs: { cpu: 1 } } },
      ['jobs.programs.cpu: there is no such key', 'jobs.quue: there is no such key'],
    ],
    [{ namespace: 'No Name' }, ['namespace: must be a Kubernetes name']],
    [
      { artifacts: { claim: 'a', mountPath: 'artifacts' } },
      ['artifacts.mountPath: must be an absolute path'],
    ],
    [
      { jobs: { training: { processesPerNode: 2, gpusPerNode: 1 } } },
      ['jobs.training: gpusPerNode must be 0 or equal to processesPerNode, since each process uses one GPU'],
    ],
    [
      { jobs: { features: { cluster: { wrokers: 3 } } } },
      ['jobs.features.cluster.wrokers: there is no such key'],
    ],
    [
      { jobs: { features: { cluster: { selector: { app: 'ray' } } } } },
      [
        'jobs.features.cluster.selector.app: there is no such key',
        'jobs.features.cluster.selector.ray.io/cluster: ',
      ],
    ],
  ])('%j', (wrong, sentences) => {
    expect(() => parseKubernetesConfig({ ...MINIMAL, ...wrong })).toThrow();
    try {
      parseKubernetesConfig({ ...MINIMAL, ...wrong });
    } catch (error) {
      const said = (error as Error).message.split('; ').sort();
      sentences.forEach((sentence, i) => {
        expect(said[i]).toContain(sentence);
      });
    }
  });
});

describe('the file', () => {
  it('is YAML, where a number is a quantity too', () => {
    const path = join(dir, 'kubernetes.yaml');
    writeFileSync(
      path,
      `${JSON.stringify({ ...MINIMAL, jobs: { programs: { resources: { requests: { cpu: 2 } } } } })}\n`,
    );
    expect(readKubernetesConfig(path).jobs.programs.resources).toEqual({
      requests: { cpu: '2' },
      limits: {},
    });
  });

  it('is named when it is missing, no YAML, or invalid', () => {
    expect(() => readKubernetesConfig(join(dir, 'none.yaml'))).toThrow(/cannot read .*none.yaml: ENOENT/);
    const path = join(dir, 'broken.yaml');
    writeFileSync(path, 'namespace: [');
    expect(() => readKubernetesConfig(path)).toThrow(/broken.yaml is invalid: /);
    writeFileSync(path, 'namespace: a');
    expect(() => readKubernetesConfig(path)).toThrow(
      /broken.yaml is invalid: images: .*; artifacts: .*; serving: /,
    );
  });

  it.each(['cpu', 'two-nodes-two-gpus'])('of the preset %s is valid', (preset) => {
    expect(
      readKubernetesConfig(join(PROJECT_DIR, 'infra', 'manifests', 'presets', `${preset}.yaml`)),
    ).toBeDefined();
  });
});
