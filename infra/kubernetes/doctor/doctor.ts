/** `shelfcast doctor`: checks whether a cluster has what the pipeline needs, and says how to add what is missing. */
import type { KubeConfig } from '@kubernetes/client-node';
import { KubernetesApi } from '../api.ts';
import type { KubernetesConfig } from '../config.ts';
import { Connection } from '../connection.ts';
import type { Finding, CheckContext } from './finding.ts';
import { APPLY_OVERLAY, runCheck, ok, wrong } from './finding.ts';
import { checkGateways } from './gateway.ts';
import { checkKinds } from './kinds.ts';
import { checkObjects } from './objects.ts';
import { checkOpenShiftComponents } from './openshift.ts';
import { checkOperators } from './operators.ts';
import { checkRights } from './rights.ts';

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

/** Runs all checks. The only object that they create is a RayJob that KubeRay refuses; it is removed again. */
export async function runDoctor(
  kubeConfig: KubeConfig,
  config: KubernetesConfig,
  { onFinding, operatorWithinMs = OPERATOR_WITHIN_MS }: Options,
): Promise<Finding[]> {
  const context: CheckContext = {
    api: new KubernetesApi(kubeConfig, config.namespace),
    connection: new Connection(kubeConfig),
    config,
    worker: WORKER,
    operatorWithinMs,
  };
  const findings: Finding[] = [];
  const report = (found: Finding[]): void => {
    findings.push(...found);
    found.forEach(onFinding);
  };
  report(await checkCluster(context));
  // Without the API server or the namespace, every other check would report the same.
  if (findings.some(({ status }) => status === 'wrong')) return findings;
  for (const check of [
    checkKinds,
    checkOperators,
    checkOpenShiftComponents,
    checkObjects,
    checkGateways,
    checkRights,
  ]) {
    report(await check(context));
  }
  return findings;
}

/** Returns a finding as one line: status, object, advice. */
export const lineOf = ({ status, what, advice }: Finding): string =>
  `${status.padEnd(8)}${what}${advice === '' ? '' : `: ${advice}`}`;

/** Returns 1 when something is wrong; a check that was not permitted does not count. */
export const exitCodeOf = (findings: readonly Finding[]): number =>
  findings.some(({ status }) => status === 'wrong') ? 1 : 0;

async function checkCluster({ api, connection, config }: CheckContext): Promise<Finding[]> {
  const what = `Kubernetes at ${connection.server}`;
  const reached = await runCheck(what, async () => {
    const answer = await connection.send({
      operation: 'asking for the version',
      method: 'GET',
      path: '/version',
    });
    if (answer.status !== 200)
      return wrong(what, `it answers ${answer.status}: ${answer.text.slice(0, 300)}`);
    return ok(`${what}, ${(JSON.parse(answer.text) as { gitVersion: string }).gitVersion}`);
  });
  if (reached.some(({ status }) => status === 'wrong')) return reached;
  const { namespace } = config;
  const found = await runCheck(`namespace ${namespace}`, async () => {
    const object = await api.read({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    if (object !== null) return ok(`namespace ${namespace}`);
    return wrong(
      `namespace ${namespace}`,
      `it does not exist; ${APPLY_OVERLAY}, or correct namespace in the configuration`,
    );
  });
  return [...reached, ...found];
}
