/** The doctor on a cluster with the real operators. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseKubernetesConfig } from '../../../infra/kubernetes/config.ts';
import { loadKubeConfig } from '../../../infra/kubernetes/connection.ts';
import { runDoctor, exitCodeOf, lineOf } from '../../../infra/kubernetes/doctor/doctor.ts';
import { build, findKubectl } from '../../infra/manifests/render.ts';
import { componentPid, DEV_KUBECONFIG, GATEWAY_URL } from '../dev-cluster.ts';
import { kubectl, kubectlWith, objectsIn } from '../kubectl.ts';

const namespace = `doctor-${randomBytes(3).toString('hex')}`;
const config = parseKubernetesConfig({
  namespace,
  images: { ml: 'any:1', predictor: 'any:1' },
  artifacts: { claim: 'shelfcast-artifacts' },
  serving: {
    url: GATEWAY_URL,
    parentRefs: [{ name: 'kserve-ingress-gateway', namespace: 'kserve' }],
    autoscaling: { by: 'cpu', maxReplicas: 2 },
  },
});

/** Lines that are not ok. */
async function doctor(): Promise<{ notOk: string[]; ok: string[]; exitCode: number }> {
  const findings = await runDoctor(loadKubeConfig(), config, {
    onFinding: () => undefined,
    operatorWithinMs: 3_000,
  });
  const lines = (isOk: boolean) => findings.filter(({ status }) => (status === 'ok') === isOk).map(lineOf);
  return { notOk: lines(false), ok: lines(true), exitCode: exitCodeOf(findings) };
}

afterAll(() => kubectl('delete', 'namespace', namespace, '--ignore-not-found'));

describe('doctor on a cluster', () => {
  it('stops at a namespace that does not exist', async () => {
    expect((await doctor()).notOk).toEqual([
      expect.stringMatching(`^wrong {3}namespace ${namespace}: it does not exist; apply the overlay`),
    ]);
  });

  it('reports all that is not installed', async () => {
    await kubectl('create', 'namespace', namespace);
    const { notOk, exitCode } = await doctor();
    expect(notOk.filter((line) => !line.includes('ClusterTrainingRuntime'))).toEqual([
      expect.stringMatching(/^wrong {3}Secret shelfcast .*it does not exist/),
      expect.stringMatching(/^wrong {3}volume claim shelfcast-artifacts: it does not exist/),
      expect.stringMatching(/^wrong {3}ServingRuntime shelfcast: it does not exist/),
      expect.stringMatching(/^wrong {3}Deployment shelfcast-worker: it does not exist/),
      expect.stringMatching(
        /^wrong {3}permissions of the workers: missing: create, delete, get jobs.batch; create, /,
      ),
    ]);
    expect(exitCode).toBe(1);
  });

  describe('with the overlay applied', () => {
    beforeAll(async () => {
      const objects = build(findKubectl() ?? '', 'overlays/trial', { namespace })
        // Nothing of it needs to run.
        .map((object) =>
          object['spec'] !== undefined && 'replicas' in (object['spec'] as object) ? asleep(object) : object,
        );
      const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
      await kubectlWith(list, 'apply', '--server-side', '--force-conflicts', '--filename=-');
      const literal = '--from-literal=DATABASE_URL=postgresql://me@somewhere/shelfcast';
      await kubectl('create', 'secret', 'generic', 'shelfcast', '--namespace', namespace, literal);
      const bound = '--for=jsonpath={.status.phase}=Bound';
      await kubectl('wait', bound, 'pvc/shelfcast-artifacts', '--namespace', namespace, '--timeout=60s');
    });

    it('reports ok for all but the workers, which do not run here', async () => {
      const { notOk, ok, exitCode } = await doctor();
      expect(notOk).toEqual([
        `wrong   Deployment shelfcast-worker: no worker is ready; kubectl logs deploy/shelfcast-worker --namespace ${namespace} --all-containers says why`,
      ]);
      expect(ok).toEqual(
        expect.arrayContaining([
          'ok      PodMetrics of metrics.k8s.io/v1beta1',
          'ok      KubeRay works',
          'ok      Kubeflow Trainer works',
          'ok      JobSet works',
          'ok      KServe works; versions are deployed in mode Standard, services that name none in mode Standard',
          'ok      volume claim shelfcast-artifacts, ReadWriteMany, bound',
          'ok      Gateway kserve/kserve-ingress-gateway, programmed',
          `ok      serving.url ${GATEWAY_URL} answers`,
          'ok      workers have every permission they need',
        ]),
      );
      expect(exitCode).toBe(1);
    });

    it('reports a permission that was removed', async () => {
      const drop = '[{"op": "remove", "path": "/rules/0"}]';
      await kubectl(
        'patch',
        'role',
        'shelfcast-worker',
        '--namespace',
        namespace,
        '--type=json',
        `--patch=${drop}`,
      );
      expect((await doctor()).notOk).toContainEqual(
        expect.stringMatching(
          /^wrong {3}permissions of the workers: missing: create, delete, get jobs.batch; apply/,
        ),
      );
    });

    it.runIf(process.env['KUBECONFIG'] === DEV_KUBECONFIG)('finds a KubeRay that hangs', async () => {
      const pid = componentPid('kuberay');
      process.kill(pid, 'SIGSTOP');
      try {
        expect((await doctor()).notOk).toContainEqual(
          expect.stringMatching(/^wrong {3}KubeRay: it has not processed a RayJob within 3 s/),
        );
      } finally {
        process.kill(pid, 'SIGCONT');
      }
    });

    it('leaves nothing behind', async () => {
      expect(await objectsIn(namespace)).not.toContainEqual(expect.stringMatching(/doctor/));
    });
  });
});

const asleep = <T extends { [field: string]: unknown }>(object: T): T => ({
  ...object,
  spec: { ...(object['spec'] as object), replicas: 0 },
});
