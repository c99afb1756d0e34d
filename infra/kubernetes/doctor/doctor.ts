/** `shelfcast doctor`: checks whether a cluster has what the pipeline needs, and says how to add what is missing. */
import type { KubeConfig } from '@kubernetes/client-node';
import { KubernetesApi } from '../api.ts';
import type { KubernetesConfig } from '../config.ts';
import { Connection } from '../connection.ts';
import type { Finding, Patient } from './finding.ts';
import { APPLY_OVERLAY, look, ok, wrong } from './finding.ts';
import { findGateways } from './gateway.ts';
import { findKinds } from './kinds.ts';
import { findObjects } from './objects.ts';
import { findOpenShiftComponents } from './openshift.ts';
import { findOperators } from './operators.ts';
import { findRights } from './rights.ts';

export type { Finding };

/** Name of the Deployment and of the service account in infra/manifests/base/. */
const WORKER = 'shelfcast-worker';
const OPERATOR_WITHIN_MS = 10_000;

interface Options {
  /** Callback for each finding, called as soon as it is known. */
  onFinding: (finding: Finding) => void;
  /** Time that an operator may take to react to a new object. */
  operatorWithinMs?: number;
}

/** Runs all checks. The only object that it creates, and removes, is a RayJob that KubeRay refuses. */
export async function examine(
  kubeConfig: KubeConfig,
  config: KubernetesConfig,
  { onFinding, operatorWithinMs = OPERATOR_WITHIN_MS }: Options,
): Promise<Finding[]> {
  const patient: Patient = {
    api: new KubernetesApi(kubeConfig, config.namespace),
    connection: new Connection(kubeConfig),
    config,
    worker: WORKER,
    operatorWithinMs,
  };
  const findings: Finding[] = [];
  const tell = (found: Finding[]): void => {
    findings.push(...found);
    found.forEach(onFinding);
  };
  tell(await findCluster(patient));
  // Without the API server or the namespace, every other check would report the same.
  if (findings.some(({ verdict }) => verdict === 'wrong')) return findings;
  for (const check of [
    findKinds,
    findOperators,
    findOpenShiftComponents,
    findObjects,
    findGateways,
    findRights,
  ]) {
    tell(await check(patient));
  }
  return findings;
}

/** One line: verdict, object, advice. */
export const lineOf = ({ verdict, what, advice }: Finding): string =>
  `${verdict.padEnd(8)}${what}${advice === '' ? '' : `: ${advice}`}`;

/** 1 when something is wrong; a check that was not permitted does not count. */
export const exitCodeOf = (findings: readonly Finding[]): number =>
  findings.some(({ verdict }) => verdict === 'wrong') ? 1 : 0;

async function findCluster({ api, connection, config }: Patient): Promise<Finding[]> {
  const what = `Kubernetes at ${connection.server}`;
  const reached = await look(what, async () => {
    const answer = await connection.send({
      operation: 'asking for the version',
      method: 'GET',
      path: '/version',
    });
    if (answer.status !== 200)
      return wrong(what, `it answers ${answer.status}: ${answer.text.slice(0, 300)}`);
    return ok(`${what}, ${(JSON.parse(answer.text) as { gitVersion: string }).gitVersion}`);
  });
  if (reached.some(({ verdict }) => verdict === 'wrong')) return reached;
  const { namespace } = config;
  const found = await look(`namespace ${namespace}`, async () => {
    const object = await api.read({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    if (object !== null) return ok(`namespace ${namespace}`);
    return wrong(
      `namespace ${namespace}`,
      `it does not exist; ${APPLY_OVERLAY}, or correct namespace in the configuration`,
    );
  });
  return [...reached, ...found];
}
