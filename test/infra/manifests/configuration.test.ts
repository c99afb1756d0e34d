/** Values that are written in several files must agree. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAllYaml, loadYaml } from '@kubernetes/client-node';
import { describe, expect, it } from 'vitest';
import { SEARCH_ATTRIBUTES } from '../../../contracts/names.ts';
import { parseKubernetesConfig, readKubernetesConfig } from '../../../infra/kubernetes/config.ts';
import { mlflowProgram } from '../../../infra/local/programs.ts';
import { localState } from '../../../infra/local/state.ts';
import { readWorkerConfig } from '../../../config/environment.ts';
import { PROJECT_DIR } from '../../platform.ts';
import type { PodSpec } from './pod-rules.ts';
import type { Manifest, Overlay } from './render.ts';
import { build, findKubectl, MANIFESTS, NO_KUBECTL, OVERLAYS } from './render.ts';

const kubectl = findKubectl();
const { version } = JSON.parse(readFileSync(join(PROJECT_DIR, 'package.json'), 'utf8')) as {
  version: string;
};
const preset = (name: string): string => join(MANIFESTS, 'presets', `${name}.yaml`);

describe('presets', () => {
  it('cpu.yaml shows every key with its default', () => {
    const written = loadYaml<Record<string, unknown>>(readFileSync(preset('cpu'), 'utf8'));
    const { namespace, images, artifacts, serving } = parseKubernetesConfig(written);
    const least = {
      namespace,
      images: { ml: images.ml, predictor: images.predictor },
      artifacts: { claim: artifacts.claim },
      serving: { url: serving.url, parentRefs: serving.parentRefs },
    };
    const defaults = parseKubernetesConfig(least);
    expect(parseKubernetesConfig(written)).toEqual(defaults);
    expect(keysOf(written)).toEqual(keysOf(defaults));
  });

  it('two-nodes-two-gpus.yaml is a cluster for four processes', () => {
    const { training } = readKubernetesConfig(preset('two-nodes-two-gpus')).jobs;
    expect(training).toMatchObject({ processesPerNode: 2, gpusPerNode: 2 });
  });
});

/** Paths of all keys, without the items of lists. */
function keysOf(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path];
  const entries = Object.entries(value);
  return entries.length === 0
    ? [path]
    : entries.flatMap(([key, item]) => keysOf(item, `${path}.${key}`)).sort();
}

interface Environment {
  name: string;
  value?: string;
}

function find(objects: readonly Manifest[], kind: string, name: string): Manifest {
  const found = objects.find((object) => object.kind === kind && object.metadata.name.startsWith(name));
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found;
}

function containerOf(objects: readonly Manifest[], name: string): PodSpec['containers'][number] {
  const { spec } = find(objects, 'Deployment', name) as unknown as { spec: { template: { spec: PodSpec } } };
  const [container] = spec.template.spec.containers;
  if (container === undefined) throw new Error(`${name} has no container`);
  return container;
}

const valuesOf = (environment: Environment[] = []): Record<string, string> =>
  Object.fromEntries(environment.map(({ name, value = '(from elsewhere)' }) => [name, value]));

describe.skipIf(kubectl === null)(`configuration in the overlays (skipped where ${NO_KUBECTL})`, () => {
  describe.each(OVERLAYS)('%s', (overlay) => {
    const objects = kubectl === null ? [] : build(kubectl, `overlays/${overlay}`);
    const config = readConfig(overlay);

    it('describes the cluster as the adapters understand it', () => {
      const map = find(objects, 'ConfigMap', 'shelfcast-config') as unknown as {
        data: Record<string, string>;
      };
      expect(parseKubernetesConfig(loadYaml(map.data['kubernetes.yaml'] ?? ''))).toEqual(config);
      expect(config.namespace).toBe('shelfcast');
      expect(find(objects, 'PersistentVolumeClaim', config.artifacts.claim)['spec']).toMatchObject({
        accessModes: ['ReadWriteMany'],
      });
      expect(find(objects, 'ServingRuntime', config.serving.runtime).metadata.namespace).toBe('shelfcast');
      find(objects, 'ClusterTrainingRuntime', config.jobs.training.runtime);
    });

    it('gives a worker an environment that it accepts', () => {
      const addresses = find(objects, 'ConfigMap', 'shelfcast-addresses') as unknown as {
        data: Record<string, string>;
      };
      const { env, volumeMounts } = containerOf(objects, 'shelfcast-worker');
      const own = { ...valuesOf(env), DATABASE_URL: 'postgresql://user@host/shelfcast' };
      const readable = Object.entries(own).filter(([name]) => !/^TEMPORAL_TLS_/.test(name));
      const worker = readWorkerConfig({ ...addresses.data, ...Object.fromEntries(readable) });
      expect(worker).toMatchObject({
        artifactsUrl: `file://${config.artifacts.mountPath}`,
        healthPort: 8081,
        platform: { kind: 'kubernetes', configFile: '/etc/shelfcast/kubernetes.yaml' },
      });
      expect(volumeMounts).toContainEqual({ name: 'artifacts', mountPath: config.artifacts.mountPath });
    });

    it('runs the version of this project everywhere', () => {
      const images = kustomization(overlay).images;
      expect(images.map(({ name }) => name)).toEqual([
        'shelfcast-worker',
        'shelfcast-ml',
        'shelfcast-predictor',
      ]);
      const full = Object.fromEntries(
        images.map(({ name, newName, newTag }) => [name, `${newName}:${newTag}`]),
      );
      expect(images.map(({ newTag }) => newTag)).toEqual([version, version, version]);
      expect(containerOf(objects, 'shelfcast-worker').image).toBe(full['shelfcast-worker']);
      expect(config.images).toMatchObject({
        ml: full['shelfcast-ml'],
        predictor: full['shelfcast-predictor'],
      });
    });

    it('names programs that exist', () => {
      const { spec } = find(objects, 'Deployment', 'shelfcast-worker') as unknown as {
        spec: { template: { spec: PodSpec } };
      };
      const scripts = (spec.template.spec.initContainers ?? []).flatMap(({ args = [] }) => args);
      expect(scripts.length).toBeGreaterThan(0);
      expect(scripts.filter((script) => !existsSync(join(PROJECT_DIR, script)))).toEqual([]);
    });
  });

  it('MLflow runs as on one machine', () => {
    const {
      command = [],
      args = [],
      env,
    } = containerOf(build(kubectl ?? '', 'overlays/trial'), 'shelfcast-mlflow');
    const ports = { mlflow: 5000 } as Parameters<typeof mlflowProgram>[1];
    const local = mlflowProgram(localState(PROJECT_DIR, '/state'), ports, 'postgresql://any');
    expect([...command, ...args].slice(1)).toEqual(
      local.command.slice(1).map((word) => (word === '127.0.0.1' ? '0.0.0.0' : word)),
    );
    const elsewhere = ['PATH', 'MLFLOW_SERVER_ALLOWED_HOSTS', 'MLFLOW_SERVER_CORS_ALLOWED_ORIGINS'];
    const here = valuesOf(env);
    for (const [name, value] of Object.entries(local.environment)) {
      if (elsewhere.includes(name)) continue;
      expect(here[name], name).toBeDefined();
      if (!value.includes('postgresql') && !value.startsWith('/')) expect(here[name], name).toBe(value);
    }
  });

  it('Temporal knows the search attributes of the runs', () => {
    const { args = [] } = containerOf(build(kubectl ?? '', 'overlays/trial'), 'shelfcast-temporal');
    const known = args.filter((arg) => arg.startsWith('--search-attribute=')).sort();
    const wanted = Object.values(SEARCH_ATTRIBUTES).map((name) => `--search-attribute=${name}=Keyword`);
    expect(known).toEqual(wanted.sort());
  });
});

function readConfig(overlay: Overlay) {
  return readKubernetesConfig(join(MANIFESTS, 'overlays', overlay, 'kubernetes.yaml'));
}

function kustomization(overlay: Overlay): { images: { name: string; newName: string; newTag: string }[] } {
  const path = join(MANIFESTS, 'overlays', overlay, 'kustomization.yaml');
  const [parsed] = loadAllYaml(readFileSync(path, 'utf8')) as ReturnType<typeof kustomization>[];
  if (parsed === undefined) throw new Error(`${path} is empty`);
  return parsed;
}
