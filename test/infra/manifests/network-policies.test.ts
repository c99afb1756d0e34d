import { describe, expect, it } from 'vitest';
import { jobPodLabels, sourceReaderLabels } from '../../../infra/kubernetes/jobs/job-object.ts';
import { versionLabels } from '../../../infra/kubernetes/serving/serving-names.ts';
import type { Connection, Pod, Policy } from './network.ts';
import { isAllowed, METADATA_SERVICES, OUTSIDE } from './network.ts';
import { build, findKubectl, NO_KUBECTL } from './render.ts';

const kubectl = findKubectl();

const pod = (namespace: string, labels: Record<string, string>): Pod => ({ namespace, labels });
const ours = (labels: Record<string, string>): Pod => pod('shelfcast', labels);
const named = (name: string): Pod => ours({ 'app.kubernetes.io/name': `shelfcast-${name}` });

const worker = named('worker');
const postgres = named('postgres');
const mlflow = named('mlflow');
const temporal = named('temporal');
const job = ours(jobPodLabels('pipeline-sales-1a2b3c4d-evaluate-1'));
const ingest = ours(sourceReaderLabels('pipeline-sales-1a2b3c4d-ingest-1'));
const node = ours(jobPodLabels('pipeline-sales-1a2b3c4d-train-1'));
const rayHead = ours({ ...jobPodLabels('pipeline-sales-1a2b3c4d-features-1'), 'ray.io/node-type': 'head' });
const predictor = ours(versionLabels('sales-forecast', 3));
const nameServer = pod('kube-system', { 'k8s-app': 'kube-dns' });
const gateway = pod('envoy-gateway-system', { app: 'envoy' });
const kubeRay = pod('ray-system', { 'app.kubernetes.io/component': 'kuberay-operator' });
const prometheus = pod('monitoring', { 'app.kubernetes.io/name': 'prometheus' });
const stranger = pod('default', { app: 'stranger' });
const unknownPod = ours({ app: 'unknown' });

const WANTED: [string, Connection][] = [
  ['a worker asks for a name', { from: worker, to: nameServer, port: 53, protocol: 'UDP' }],
  ['a job asks for a name', { from: job, to: nameServer, port: 53, protocol: 'UDP' }],
  ['a worker polls Temporal', { from: worker, to: temporal, port: 7233 }],
  ['a worker polls Temporal elsewhere', { from: worker, to: OUTSIDE, port: 7233 }],
  ['a worker reads PostgreSQL', { from: worker, to: postgres, port: 5432 }],
  ['a worker logs to MLflow', { from: worker, to: mlflow, port: 5000 }],
  ['a worker asks the API server', { from: worker, to: OUTSIDE, port: 6443 }],
  ['a worker probes through the gateway', { from: worker, to: gateway, port: 8000 }],
  ['MLflow writes to PostgreSQL', { from: mlflow, to: postgres, port: 5432 }],
  ['a job writes to PostgreSQL', { from: job, to: postgres, port: 5432 }],
  ['a job writes to PostgreSQL elsewhere', { from: job, to: OUTSIDE, port: 5432 }],
  ['ingest writes to PostgreSQL', { from: ingest, to: postgres, port: 5432 }],
  ['ingest asks for a name', { from: ingest, to: nameServer, port: 53, protocol: 'UDP' }],
  ['nodes of a training meet', { from: node, to: node, port: 29500 }],
  ['a submitter asks the head of Ray', { from: job, to: rayHead, port: 8265 }],
  ['KubeRay asks the head of Ray', { from: kubeRay, to: rayHead, port: 8265 }],
  ['the gateway asks a predictor', { from: gateway, to: predictor, port: 8080 }],
  ['a predictor reads features', { from: predictor, to: postgres, port: 5432 }],
];

const UNWANTED: [string, Connection][] = [
  ['a job asks the API server', { from: job, to: OUTSIDE, port: 6443 }],
  ['a job calls the internet', { from: job, to: OUTSIDE, port: 443 }],
  ['ingest calls the internet, unless components/sources lets it', { from: ingest, to: OUTSIDE, port: 443 }],
  ['a job writes to MLflow', { from: job, to: mlflow, port: 5000 }],
  ['a job starts workflows', { from: job, to: temporal, port: 7233 }],
  ['a job asks a predictor', { from: job, to: predictor, port: 8080 }],
  ['a predictor calls the internet', { from: predictor, to: OUTSIDE, port: 443 }],
  ['a predictor asks a job', { from: predictor, to: rayHead, port: 8265 }],
  ['a stranger asks a predictor past the gateway', { from: stranger, to: predictor, port: 8080 }],
  ['a stranger runs code on Ray', { from: stranger, to: rayHead, port: 8265 }],
  ['a stranger reads PostgreSQL', { from: stranger, to: postgres, port: 5432 }],
  ['a stranger writes to MLflow', { from: stranger, to: mlflow, port: 5000 }],
  ['a stranger starts workflows', { from: stranger, to: temporal, port: 7233 }],
  ['KubeRay asks another port', { from: kubeRay, to: rayHead, port: 6379 }],
  ['somebody uses the UI of Temporal, which has no login', { from: worker, to: temporal, port: 8233 }],
  ['a worker calls any port', { from: worker, to: OUTSIDE, port: 25 }],
  ['a pod that nobody knows calls out', { from: unknownPod, to: OUTSIDE, port: 443 }],
  ['a pod that nobody knows is called', { from: stranger, to: unknownPod, port: 80 }],
];

function policiesOf(overlay: string, components: readonly string[] = []): Policy[] {
  const objects: unknown[] = build(kubectl ?? '', `overlays/${overlay}`, {
    components,
    namespace: 'shelfcast',
  }).filter(({ kind }) => kind === 'NetworkPolicy');
  return objects as Policy[];
}

describe.skipIf(kubectl === null)(`network policies (skipped where ${NO_KUBECTL})`, () => {
  const trial = kubectl === null ? [] : policiesOf('trial');

  it.each(WANTED)('%s', (_, connection) => {
    expect(isAllowed(trial, connection)).toBe(true);
  });
  it.each(UNWANTED)('never: %s', (_, connection) => {
    expect(isAllowed(trial, connection)).toBe(false);
  });

  it('with the component sources, ingest alone reaches web servers, and no metadata service', () => {
    const policies = policiesOf('trial', ['sources']);
    expect(isAllowed(policies, { from: ingest, to: OUTSIDE, port: 443 })).toBe(true);
    for (const to of METADATA_SERVICES)
      for (const port of [80, 443])
        expect([to, isAllowed(policies, { from: ingest, to, port })]).toEqual([to, false]);
    for (const port of [22, 80, 6443]) {
      expect(isAllowed(policies, { from: ingest, to: OUTSIDE, port })).toBe(false);
    }
    for (const to of [temporal, mlflow, predictor, rayHead]) {
      for (const port of [443, 5000, 7233, 8080, 8265]) {
        const connection = { from: ingest, to, port };
        expect(isAllowed(policies, connection)).toBe(isAllowed(trial, connection));
      }
    }
    for (const [, connection] of UNWANTED.filter(([, { from }]) => from !== ingest)) {
      expect(isAllowed(policies, connection)).toBe(false);
    }
  });

  it('on OpenShift the gateway and Prometheus are where OpenShift has them', () => {
    const policies = policiesOf('openshift-ai');
    const from = (namespace: string): Pod => pod(namespace, {});
    const to = { to: predictor, port: 8080 };
    expect(isAllowed(policies, { from: from('openshift-ingress'), ...to })).toBe(true);
    expect(isAllowed(policies, { from: from('openshift-user-workload-monitoring'), ...to })).toBe(true);
    expect(isAllowed(policies, { from: gateway, ...to })).toBe(false);
    expect(isAllowed(policies, { from: prometheus, ...to })).toBe(false);
    expect(isAllowed(policies, { from: worker, to: from('openshift-ingress'), port: 443 })).toBe(true);
    // Port of OpenShift's name servers.
    const nameServers = from('openshift-dns');
    expect(isAllowed(policies, { from: job, to: nameServers, port: 5353, protocol: 'UDP' })).toBe(true);
  });
});
