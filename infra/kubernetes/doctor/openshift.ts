/** Check of OpenShift AI's components that the pipeline uses. On other clusters there is nothing to check. */
import { z } from 'zod';
import type { Finding, CheckContext } from './finding.ts';
import { runCheck, ok, wrong } from './finding.ts';

const GROUP = 'datasciencecluster.opendatahub.io';
/** Names of each component; some changed between versions of the operator. */
const COMPONENTS = [
  ['dashboard'],
  ['ray'],
  ['trainer'],
  ['workbenches'],
  ['mlflowoperator', 'mlflow'],
  ['kserve'],
];

const clusterSchema = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    components: z.record(z.string(), z.object({ managementState: z.string().optional() })).default({}),
  }),
  status: z
    .object({
      conditions: z
        .array(z.object({ type: z.string(), status: z.string(), message: z.string().default('') }))
        .default([]),
    })
    .prefault({}),
});
type DataScienceCluster = z.output<typeof clusterSchema>;

export async function checkOpenShiftComponents({ api }: CheckContext): Promise<Finding[]> {
  return runCheck('DataScienceCluster', async () => {
    for (const version of ['v2', 'v1']) {
      const apiVersion = `${GROUP}/${version}`;
      if (!(await api.has(apiVersion, 'DataScienceCluster'))) continue;
      const [cluster] = await api.list(apiVersion, 'DataScienceCluster', '');
      if (cluster === undefined) {
        return wrong(
          'DataScienceCluster',
          'OpenShift AI is installed, but none exists; apply infra/manifests/overlays/openshift-ai/admin/data-science-cluster.yaml',
        );
      }
      return COMPONENTS.map((names) => checkComponent(clusterSchema.parse(cluster), names));
    }
    return [];
  });
}

function checkComponent({ metadata, spec, status }: DataScienceCluster, names: string[]): Finding {
  const name = names.find((each) => spec.components[each] !== undefined) ?? names[0] ?? '';
  const what = `OpenShift AI's component ${name}`;
  const state = spec.components[name]?.managementState ?? 'Removed';
  if (state !== 'Managed') {
    const patch = JSON.stringify({ spec: { components: { [name]: { managementState: 'Managed' } } } });
    return wrong(
      what,
      `it is ${state}; oc patch datasciencecluster ${metadata.name} --type merge --patch '${patch}'`,
    );
  }
  const ready = status.conditions.find(({ type }) => type.toLowerCase() === `${name}ready`);
  if (ready !== undefined && ready.status !== 'True') return wrong(what, `it is not ready: ${ready.message}`);
  return ok(`${what}, managed`);
}
