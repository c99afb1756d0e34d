/** Check of the objects that a person creates and the configuration names. */
import { z } from 'zod';
import { addressIssue } from '../../../contracts/database-address.ts';
import type { ObjectReference } from '../api.ts';
import type { Finding, CheckContext } from './finding.ts';
import { APPLY_OVERLAY, runCheck, ok, wrong } from './finding.ts';

export async function checkObjects(context: CheckContext): Promise<Finding[]> {
  const { config, worker } = context;
  const checks = [
    runCheck(`Secret ${config.secret}`, () => checkSecret(context)),
    runCheck(`volume claim ${config.artifacts.claim}`, () => checkClaim(context)),
    ...referencesOf(context).map(([ref, advice]) =>
      runCheck(nameOf(ref), () => checkObject(context, ref, advice)),
    ),
    runCheck(`Deployment ${worker}`, () => checkWorker(context)),
  ];
  return (await Promise.all(checks)).flat();
}

const nameOf = ({ kind, metadata }: ObjectReference): string => `${kind} ${metadata.name}`;

/** Objects that only have to exist, with advice where they do not. */
function referencesOf({ config }: CheckContext): [ObjectReference, string][] {
  const { images, jobs, serving } = config;
  const ref = (apiVersion: string, kind: string, name: string) => ({ apiVersion, kind, metadata: { name } });
  const accounts = [jobs.serviceAccount, serving.serviceAccount].filter((name) => name !== undefined);
  return [
    [ref('serving.kserve.io/v1alpha1', 'ServingRuntime', serving.runtime), APPLY_OVERLAY],
    ...images.pullSecrets.map((name): [ObjectReference, string] => [
      ref('v1', 'Secret', name),
      `create it: kubectl create secret docker-registry ${name} --namespace ${config.namespace} ...`,
    ]),
    ...(jobs.ingest.secret === undefined
      ? []
      : [
          [
            ref('v1', 'Secret', jobs.ingest.secret),
            `create it: kubectl create secret generic ${jobs.ingest.secret} --namespace ${config.namespace} --from-literal=SALES_URL=https://..., or correct jobs.ingest.secret`,
          ] satisfies [ObjectReference, string],
        ]),
    ...accounts.map((name): [ObjectReference, string] => [
      ref('v1', 'ServiceAccount', name),
      `create it: kubectl create serviceaccount ${name} --namespace ${config.namespace}`,
    ]),
    ...(jobs.queue === undefined
      ? []
      : [
          [
            ref('kueue.x-k8s.io/v1beta1', 'LocalQueue', jobs.queue),
            'create it, or correct jobs.queue',
          ] satisfies [ObjectReference, string],
        ]),
  ];
}

async function checkObject({ api }: CheckContext, ref: ObjectReference, advice: string): Promise<Finding> {
  const what = nameOf(ref);
  return (await api.read(ref)) === null ? wrong(what, `it does not exist; ${advice}`) : ok(what);
}

const secretSchema = z.object({ data: z.record(z.string(), z.string()).default({}) });

async function checkSecret({ api, config }: CheckContext): Promise<Finding> {
  const what = `Secret ${config.secret} with the key DATABASE_URL`;
  const make = `kubectl create secret generic ${config.secret} --namespace ${config.namespace} --from-literal=DATABASE_URL=postgresql://...`;
  const secret = await api.read({ apiVersion: 'v1', kind: 'Secret', metadata: { name: config.secret } });
  if (secret === null) return wrong(what, `it does not exist; create it: ${make}`);
  const url = secretSchema.parse(secret).data['DATABASE_URL'];
  if (url === undefined) return wrong(what, `it has no such key; create it again: ${make}`);
  const issue = addressIssue(Buffer.from(url, 'base64').toString());
  return issue === undefined ? ok(what) : wrong(what, `the value ${issue}; create the Secret again`);
}

const claimSchema = z.object({
  spec: z.object({ accessModes: z.array(z.string()), storageClassName: z.string().optional() }),
  status: z.object({ phase: z.string().default('') }).prefault({}),
});
const storageClassSchema = z.object({ volumeBindingMode: z.string().default('Immediate') });

async function checkClaim({ api, config }: CheckContext): Promise<Finding> {
  const { claim: name } = config.artifacts;
  const what = `volume claim ${name}`;
  const object = await api.read({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name } });
  if (object === null) return wrong(what, `it does not exist; ${APPLY_OVERLAY}, or correct artifacts.claim`);
  const { spec, status } = claimSchema.parse(object);
  if (!spec.accessModes.includes('ReadWriteMany')) {
    return wrong(
      what,
      `its access mode is ${spec.accessModes.join()}, and workers, jobs and predictors on several nodes need ReadWriteMany`,
    );
  }
  if (status.phase === 'Bound') return ok(`${what}, ReadWriteMany, bound`);
  if (status.phase === 'Pending' && (await bindsLater(api, spec.storageClassName))) {
    return ok(`${what}, ReadWriteMany, bound with the first pod that uses it`);
  }
  const storage = spec.storageClassName ?? 'the default one, and there may be none';
  return wrong(
    what,
    `it is ${status.phase}, not Bound: the storage class (${storage}) must offer ReadWriteMany, as NFS, CephFS or a cloud's file service do; ` +
      `kubectl describe pvc ${name} --namespace ${config.namespace} says more`,
  );
}

async function bindsLater(api: CheckContext['api'], storageClass: string | undefined): Promise<boolean> {
  if (storageClass === undefined) return false;
  const found = await api.read({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: storageClass },
  });
  return found !== null && storageClassSchema.parse(found).volumeBindingMode === 'WaitForFirstConsumer';
}

const deploymentSchema = z.object({
  spec: z.object({ replicas: z.int() }),
  status: z.object({ readyReplicas: z.int().default(0) }).prefault({}),
});

async function checkWorker({ api, config, worker }: CheckContext): Promise<Finding> {
  const what = `Deployment ${worker}`;
  const object = await api.read({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: worker } });
  if (object === null) return wrong(what, `it does not exist; ${APPLY_OVERLAY}`);
  const { spec, status } = deploymentSchema.parse(object);
  if (status.readyReplicas > 0)
    return ok(`${what}: ${status.readyReplicas} of ${spec.replicas} workers ready`);
  return wrong(
    what,
    `no worker is ready; kubectl logs deploy/${worker} --namespace ${config.namespace} --all-containers says why`,
  );
}
