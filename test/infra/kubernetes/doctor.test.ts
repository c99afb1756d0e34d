import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseKubernetesConfig } from '../../../infra/kubernetes/config.ts';
import { WORKER_RIGHTS } from '../../../infra/kubernetes/doctor/rights.ts';
import { runDoctor, exitCodeOf, lineOf } from '../../../infra/kubernetes/doctor/doctor.ts';
import { FakeCluster, forbidden, refused } from './fake-cluster.ts';

const NAMESPACE = '/api/v1/namespaces/shelfcast';
const RAY_JOBS = '/apis/ray.io/v1/namespaces/shelfcast/rayjobs';
const TRAIN_JOBS = '/apis/trainer.kubeflow.org/v1alpha1/namespaces/shelfcast/trainjobs';
const JOB_SETS = '/apis/jobset.x-k8s.io/v1alpha2/namespaces/shelfcast/jobsets';
const SERVICES = '/apis/serving.kserve.io/v1beta1/namespaces/shelfcast/inferenceservices';
const GATEWAY = '/apis/gateway.networking.k8s.io/v1/namespaces/kserve/gateways/entrance';
const CLAIM = `${NAMESPACE}/persistentvolumeclaims/artifacts`;
const SECRET = `${NAMESPACE}/secrets/shelfcast`;
const WORKER = '/apis/apps/v1/namespaces/shelfcast/deployments/shelfcast-worker';
const REVIEWS = '/apis/authorization.k8s.io/v1/subjectaccessreviews';

let cluster: FakeCluster;
beforeEach(async () => {
  cluster = await FakeCluster.start();
  makeHealthy(cluster);
});
afterEach(() => cluster.stop());

/** All that the doctor wants. */
function makeHealthy(healthy: FakeCluster): void {
  const kinds = [
    'ray.io/v1 RayJob',
    'trainer.kubeflow.org/v1alpha1 TrainJob',
    'jobset.x-k8s.io/v1alpha2 JobSet',
    'serving.kserve.io/v1beta1 InferenceService',
    'gateway.networking.k8s.io/v1 HTTPRoute',
    'apiextensions.k8s.io/v1 CustomResourceDefinition',
    'authentication.k8s.io/v1 SelfSubjectReview',
    'authorization.k8s.io/v1 SelfSubjectAccessReview',
    'authorization.k8s.io/v1 SubjectAccessReview',
    'v1 ServiceAccount',
  ];
  for (const kind of kinds) healthy.kinds.add(kind);
  const metadata = (name: string, namespace?: string) => ({
    name,
    ...(namespace === undefined ? {} : { namespace }),
  });
  healthy.put(
    { apiVersion: 'v1', kind: 'Namespace', metadata: metadata('shelfcast') },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: metadata('shelfcast'),
      data: { DATABASE_URL: Buffer.from('postgresql://me@somewhere/shelfcast').toString('base64') },
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: metadata('artifacts'),
      spec: { accessModes: ['ReadWriteMany'], storageClassName: 'nfs' },
      status: { phase: 'Bound' },
    },
    { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: metadata('nfs') },
    { apiVersion: 'serving.kserve.io/v1alpha1', kind: 'ServingRuntime', metadata: metadata('shelfcast') },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: metadata('shelfcast-worker'),
      spec: { replicas: 2 },
      status: { readyReplicas: 2 },
    },
    {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: metadata('entrance', 'kserve'),
      spec: {
        listeners: [{ name: 'http', protocol: 'HTTP', allowedRoutes: { namespaces: { from: 'All' } } }],
      },
      status: {
        addresses: [{ value: '10.0.0.1' }],
        conditions: [{ type: 'Programmed', status: 'True' }],
      },
    },
  );
  healthy.answers.set('GET /version', () => ({ status: 200, body: { gitVersion: 'v1.35.4' } }));
  // KubeRay looks at what is made at once.
  healthy.answers.set(`POST ${RAY_JOBS}`, (body) => {
    const made = {
      ...(body as { metadata: { name: string } }),
      status: { jobDeploymentStatus: 'ValidationFailed' },
    };
    healthy.put({ ...made, apiVersion: 'ray.io/v1', kind: 'RayJob' });
    return { status: 201, body: made };
  });
  healthy.answers.set(`POST ${TRAIN_JOBS}`, (body) => {
    const { spec } = body as { spec: { runtimeRef: { name: string } } };
    if (spec.runtimeRef.name !== 'shelfcast-torch') return denied('there is no such runtime');
    return { status: 201, body: body as object };
  });
  healthy.answers.set(`POST ${JOB_SETS}`, (body) => ({ status: 201, body: indexed(body) }));
  healthy.answers.set(`POST ${SERVICES}`, (body) => {
    const { spec } = body as { spec: { predictor: { minReplicas?: number } } };
    if (spec.predictor.minReplicas === 2) return denied('MaxReplicas is below MinReplicas');
    return {
      status: 201,
      body: { metadata: { annotations: { 'serving.kserve.io/deploymentMode': 'Standard' } } },
    };
  });
  const self = { status: { userInfo: { username: 'admin' } } };
  healthy.answers.set('POST /apis/authentication.k8s.io/v1/selfsubjectreviews', () => ({
    status: 201,
    body: self,
  }));
  healthy.answers.set(`POST ${REVIEWS}`, () => ({ status: 201, body: { status: { allowed: true } } }));
}

const denied = (why: string) =>
  refused(403, 'Forbidden', `admission webhook "operator" denied the request: ${why}`);

function indexed(body: unknown): object {
  const set = body as { spec: { replicatedJobs: { template: { spec: object } }[] } };
  const jobs = set.spec.replicatedJobs.map((job) => ({
    ...job,
    template: { spec: { ...job.template.spec, completionMode: 'Indexed' } },
  }));
  return { ...set, spec: { ...set.spec, replicatedJobs: jobs } };
}

async function doctor(changes: { jobs?: object; serving?: object; images?: object } = {}) {
  const config = parseKubernetesConfig({
    namespace: 'shelfcast',
    images: { ml: 'ml:1', predictor: 'predictor:1', ...changes.images },
    artifacts: { claim: 'artifacts' },
    jobs: changes.jobs ?? {},
    serving: {
      url: cluster.url,
      parentRefs: [{ name: 'entrance', namespace: 'kserve' }],
      ...changes.serving,
    },
  });
  const lines: string[] = [];
  const findings = await runDoctor(cluster.kubeConfig, config, {
    onFinding: (finding) => lines.push(lineOf(finding)),
    operatorWithinMs: 1_000,
  });
  expect(lines).toEqual(findings.map(lineOf));
  return {
    lines,
    notOk: findings.filter(({ status }) => status !== 'ok').map(lineOf),
    exitCode: exitCodeOf(findings),
  };
}

describe('doctor', () => {
  it('reports ok for everything on a complete cluster, and leaves no object', async () => {
    const { lines, exitCode } = await doctor();
    expect(lines.map((line) => line.replace(cluster.url, 'URL'))).toMatchInlineSnapshot(`
      [
        "ok      Kubernetes at URL, v1.35.4",
        "ok      namespace shelfcast",
        "ok      RayJob of ray.io/v1",
        "ok      TrainJob of trainer.kubeflow.org/v1alpha1",
        "ok      JobSet of jobset.x-k8s.io/v1alpha2",
        "ok      InferenceService of serving.kserve.io/v1beta1",
        "ok      ServingRuntime of serving.kserve.io/v1alpha1",
        "ok      HTTPRoute of gateway.networking.k8s.io/v1",
        "ok      KubeRay works",
        "ok      Kubeflow Trainer works",
        "ok      ClusterTrainingRuntime shelfcast-torch",
        "ok      JobSet works",
        "ok      KServe works; versions are deployed in mode Standard, services that name none in mode Standard",
        "ok      Secret shelfcast with the key DATABASE_URL",
        "ok      volume claim artifacts, ReadWriteMany, bound",
        "ok      ServingRuntime shelfcast",
        "ok      Deployment shelfcast-worker: 2 of 2 workers ready",
        "ok      Gateway kserve/entrance, programmed",
        "ok      serving.url URL answers",
        "ok      workers have every permission they need",
      ]
    `);
    expect(exitCode).toBe(0);
    const made = cluster.requests.filter(
      (request) => request.startsWith('POST ') && request.includes('rayjobs'),
    );
    expect(made).toHaveLength(1);
    expect(
      cluster.requests.filter((request) => request.startsWith(`DELETE ${RAY_JOBS}/shelfcast-doctor-`)),
    ).toHaveLength(1);
  });

  it('stops where the API server does not answer', async () => {
    await cluster.stop();
    const { lines, exitCode } = await doctor();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /^wrong {3}Kubernetes at http:\/\/127.0.0.1:\d+: Kubernetes at .* did not answer: asking for the version/,
    );
    expect(exitCode).toBe(1);
    cluster = await FakeCluster.start();
  });

  it('stops where the namespace does not exist', async () => {
    cluster.drop(NAMESPACE);
    const { notOk, lines } = await doctor();
    expect(notOk).toEqual([
      expect.stringMatching(/^wrong {3}namespace shelfcast: it does not exist; apply the overlay/),
    ]);
    expect(lines).toHaveLength(2);
  });

  it('names the operator of a missing kind once', async () => {
    cluster.kinds.delete('ray.io/v1 RayJob');
    const { notOk } = await doctor();
    expect(notOk).toEqual([
      expect.stringMatching(
        /^wrong {3}RayJob of ray.io\/v1: this cluster has no RayJob of ray.io\/v1: install KubeRay/,
      ),
    ]);
  });

  it('names the versions that exist instead', async () => {
    cluster.kinds.delete('ray.io/v1 RayJob');
    cluster.kinds.add('ray.io/v1alpha1 RayJob');
    expect((await doctor()).notOk).toEqual([
      expect.stringMatching(/^wrong {3}RayJob of ray.io\/v1: the cluster has ray.io in v1alpha1 only; /),
    ]);
  });

  it('finds operators that are installed and do not work', async () => {
    cluster.answers.set(`POST ${TRAIN_JOBS}`, (body) => ({ status: 201, body: body as object }));
    cluster.answers.set(`POST ${JOB_SETS}`, (body) => ({ status: 201, body: body as object }));
    cluster.answers.set(`POST ${SERVICES}`, () =>
      refused(500, 'InternalError', 'failed calling webhook "kserve": connection refused'),
    );
    const { notOk, exitCode } = await doctor();
    expect(notOk).toEqual([
      expect.stringMatching(/^wrong {3}Kubeflow Trainer: a TrainJob without a runtime is not refused/),
      expect.stringMatching(/^wrong {3}JobSet: a JobSet is not completed/),
      expect.stringMatching(/^wrong {3}KServe: .*failed calling webhook "kserve": connection refused/),
    ]);
    expect(exitCode).toBe(1);
  });

  it('finds a KubeRay that does not react', async () => {
    cluster.answers.set(`POST ${RAY_JOBS}`, (body) => {
      cluster.put({ ...(body as { metadata: { name: string } }), apiVersion: 'ray.io/v1', kind: 'RayJob' });
      return { status: 201, body: body as object };
    });
    expect((await doctor()).notOk).toEqual([
      'wrong   KubeRay: it has not processed a RayJob within 1 s; check that its operator runs and watches the namespace "shelfcast"',
    ]);
    expect(cluster.requests.some((request) => request.startsWith(`DELETE ${RAY_JOBS}/`))).toBe(true);
  });

  it("accepts a refusal by KubeRay's webhook as proof that it works", async () => {
    cluster.answers.set(`POST ${RAY_JOBS}`, () =>
      denied('one of RayClusterSpec or ClusterSelector must be set'),
    );
    expect((await doctor()).notOk).toEqual([]);
  });

  /** Null: the object is not there. */
  function alter(path: string, fields: object | null): void {
    if (fields === null) cluster.drop(path);
    else cluster.change(path, fields);
  }

  it.each([
    ['does not exist', null, /it does not exist; create it: kubectl create secret generic shelfcast/],
    ['lacks the key', { data: {} }, /it has no such key/],
    [
      'holds something else',
      { data: { DATABASE_URL: 'c29tZXdoZXJl' } },
      /the value must be an address like postgresql:\/\/.*; create the Secret again/,
    ],
  ])('finds a Secret that %s', async (_, fields, sentence) => {
    alter(SECRET, fields);
    expect((await doctor()).notOk).toEqual([expect.stringMatching(sentence)]);
  });

  it('finds that the Secret of ingest is not there', async () => {
    const { notOk } = await doctor({ jobs: { ingest: { secret: 'sales-sources' } } });
    expect(notOk).toEqual([
      expect.stringMatching(/^wrong +Secret sales-sources: it does not exist; create it: .*SALES_URL=/),
    ]);
  });

  const pendingClaim = {
    spec: { accessModes: ['ReadWriteMany'], storageClassName: 'nfs' },
    status: { phase: 'Pending' },
  };
  it.each([
    ['does not exist', null, /it does not exist; apply the overlay .*correct artifacts.claim/],
    [
      'one node mounts',
      { spec: { accessModes: ['ReadWriteOnce'] } },
      /its access mode is ReadWriteOnce, .* need ReadWriteMany/,
    ],
    [
      'nothing provides',
      pendingClaim,
      /it is Pending, not Bound: the storage class \(nfs\) must offer ReadWriteMany/,
    ],
  ])('finds a volume claim that %s', async (_, fields, sentence) => {
    alter(CLAIM, fields);
    expect((await doctor()).notOk).toEqual([expect.stringMatching(sentence)]);
  });

  it('accepts an unbound claim whose storage class binds it to its first pod', async () => {
    cluster.change(CLAIM, pendingClaim);
    cluster.put({
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name: 'nfs' },
      volumeBindingMode: 'WaitForFirstConsumer',
    });
    expect((await doctor()).notOk).toEqual([]);
  });

  it('checks the other objects that the configuration names', async () => {
    const { notOk } = await doctor({
      jobs: { queue: 'nightly', serviceAccount: 'jobs', training: { runtime: 'mine' } },
      serving: { runtime: 'theirs' },
      images: { pullSecrets: ['registry'] },
    });
    expect(notOk).toEqual([
      expect.stringMatching(/^wrong {3}LocalQueue of kueue.x-k8s.io\/v1beta1: .*install Kueue/),
      expect.stringMatching(
        /^wrong {3}ClusterTrainingRuntime mine: Trainer does not find it; apply the overlay/,
      ),
      expect.stringMatching(/^wrong {3}ServingRuntime theirs: it does not exist/),
      expect.stringMatching(
        /^wrong {3}Secret registry: it does not exist; create it: kubectl create secret docker-registry/,
      ),
      expect.stringMatching(
        /^wrong {3}ServiceAccount jobs: it does not exist; create it: kubectl create serviceaccount/,
      ),
    ]);
  });

  it('refuses what KServe would ignore', async () => {
    const byRequests = { by: 'requests', maxReplicas: 3, perSecond: 10, prometheus: 'http://prometheus' };
    expect((await doctor({ serving: { autoscaling: byRequests } })).notOk).toEqual([
      expect.stringMatching(
        /^wrong {3}serving: serving.autoscaling.by is requests, but this cluster has no KEDA/,
      ),
    ]);
    expect((await doctor({ serving: { autoscaling: { by: 'cpu', maxReplicas: 3 } } })).notOk).toEqual([
      expect.stringMatching(/^wrong {3}PodMetrics of metrics.k8s.io\/v1beta1/),
    ]);
  });

  it('finds workers that are not ready', async () => {
    cluster.change(WORKER, { status: {} });
    expect((await doctor()).notOk).toEqual([
      'wrong   Deployment shelfcast-worker: no worker is ready; kubectl logs deploy/shelfcast-worker --namespace shelfcast --all-containers says why',
    ]);
  });

  const listening = (allowedRoutes: object) => ({
    spec: { listeners: [{ name: 'http', protocol: 'HTTP', allowedRoutes }] },
  });
  it.each([
    ['does not exist', null, /it does not exist; create it, or correct serving.parentRefs/],
    ['has no controller', { status: {} }, /it is not programmed \(no controller has processed it\)/],
    [
      'cannot work',
      { status: { conditions: [{ type: 'Programmed', status: 'False', message: 'no address' }] } },
      /it is not programmed \(no address\)/,
    ],
    [
      'takes routes of its own namespace only',
      listening({ namespaces: { from: 'Same' } }),
      /none of its listeners admits routes of the namespace "shelfcast"/,
    ],
    [
      'takes routes of other namespaces only',
      listening({ namespaces: { from: 'Selector', selector: { matchLabels: { team: 'a' } } } }),
      /none of its listeners admits routes of the namespace "shelfcast"/,
    ],
  ])('reports a Gateway that %s', async (_, fields, sentence) => {
    alter(GATEWAY, fields);
    expect((await doctor()).notOk).toEqual([expect.stringMatching(sentence)]);
  });

  it('finds a listener that does not exist', async () => {
    const parentRefs = [{ name: 'entrance', namespace: 'kserve', sectionName: 'https' }];
    expect((await doctor({ serving: { parentRefs } })).notOk).toEqual([
      'wrong   Gateway kserve/entrance: it has no listener "https"; correct serving.parentRefs',
    ]);
  });

  it('names the addresses of the Gateway where serving.url does not answer', async () => {
    expect((await doctor({ serving: { url: 'http://127.0.0.1:9' } })).notOk).toEqual([
      expect.stringMatching(
        /^wrong {3}serving.url http:\/\/127.0.0.1:9: it does not answer from here: .*addresses are 10.0.0.1/,
      ),
    ]);
  });

  it('asks for every right of the workers, and names all that are missing in one line', async () => {
    const asked: string[] = [];
    cluster.answers.set(`POST ${REVIEWS}`, (body) => {
      const { spec } = body as {
        spec: { user: string; resourceAttributes: { resource: string; subresource: string; verb: string } };
      };
      expect(spec.user).toBe('system:serviceaccount:shelfcast:shelfcast-worker');
      const { resource, subresource, verb } = spec.resourceAttributes;
      asked.push(`${verb} ${subresource === '' ? resource : `${resource}/${subresource}`}`);
      return { status: 201, body: { status: { allowed: verb !== 'delete' || resource !== 'rayjobs' } } };
    });
    expect((await doctor()).notOk).toEqual([
      expect.stringMatching(
        /^wrong {3}permissions of the workers: missing: delete rayjobs.ray.io; apply the Role/,
      ),
    ]);
    for (const { resource, verbs } of WORKER_RIGHTS) {
      expect(asked).toEqual(expect.arrayContaining(verbs.map((verb) => `${verb} ${resource}`)));
    }
  });

  it('reviews its own rights where it is a worker, or may not review others', async () => {
    cluster.answers.set(`POST ${REVIEWS}`, () => forbidden('subjectaccessreviews.authorization.k8s.io'));
    cluster.answers.set('POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews', () => ({
      status: 201,
      body: { status: { allowed: true } },
    }));
    expect((await doctor()).notOk).toEqual([]);
    const username = 'system:serviceaccount:shelfcast:shelfcast-worker';
    cluster.answers.set('POST /apis/authentication.k8s.io/v1/selfsubjectreviews', () => ({
      status: 201,
      body: { status: { userInfo: { username } } },
    }));
    cluster.requests.length = 0;
    expect((await doctor()).notOk).toEqual([]);
    expect(cluster.requests).not.toContain(`POST ${REVIEWS}`);
  });

  it('reports unknown for objects that it may not read', async () => {
    cluster.answers.set(`GET ${SECRET}`, () => forbidden('secrets "shelfcast"'));
    cluster.answers.set(`GET ${GATEWAY}`, () => forbidden('gateways "entrance"'));
    cluster.answers.set(`POST ${JOB_SETS}`, () => forbidden('jobsets'));
    const { notOk, exitCode } = await doctor();
    expect(notOk).toEqual([
      expect.stringMatching(/^unknown JobSet: you have no permission to read it/),
      expect.stringMatching(/^unknown Secret shelfcast: you have no permission to read it/),
      expect.stringMatching(/^unknown Gateway kserve\/entrance: you have no permission to read it/),
    ]);
    expect(exitCode).toBe(0);
  });

  describe('on OpenShift AI', () => {
    const dataScienceCluster = (components: object, conditions: object[] = []) => ({
      apiVersion: 'datasciencecluster.opendatahub.io/v2',
      kind: 'DataScienceCluster',
      metadata: { name: 'default-dsc' },
      spec: { components },
      status: { conditions },
    });
    const managed = { managementState: 'Managed' };
    const all = { dashboard: managed, ray: managed, trainer: managed, workbenches: managed, kserve: managed };

    it('reports missing components', async () => {
      cluster.put(dataScienceCluster({ ...all, mlflowoperator: managed }));
      const { lines, notOk } = await doctor();
      expect(notOk).toEqual([]);
      expect(lines.filter((line) => line.includes('OpenShift'))).toHaveLength(6);
    });

    it('shows how to enable one', async () => {
      cluster.put(dataScienceCluster({ ...all, trainer: { managementState: 'Removed' } }));
      expect((await doctor()).notOk).toEqual([
        `wrong   OpenShift AI's component trainer: it is Removed; oc patch datasciencecluster default-dsc --type merge --patch '{"spec":{"components":{"trainer":{"managementState":"Managed"}}}}'`,
        expect.stringMatching(/^wrong {3}OpenShift AI's component mlflowoperator: it is Removed; /),
      ]);
    });

    it('reports why one is not ready', async () => {
      const condition = { type: 'TrainerReady', status: 'False', message: 'JobSet operator not installed' };
      cluster.put(dataScienceCluster({ ...all, mlflow: managed }, [condition]));
      expect((await doctor()).notOk).toEqual([
        "wrong   OpenShift AI's component trainer: it is not ready: JobSet operator not installed",
      ]);
    });
  });
});
