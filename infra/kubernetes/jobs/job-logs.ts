/** The log of a job, assembled from its pods. */
import { LOG_LINES } from '../../job-command.ts';
import type { KubernetesApi } from '../api.ts';
import type { Pod } from '../pod-trouble.ts';

const INDEX_LABEL = 'batch.kubernetes.io/job-completion-index';

/**
 * Returns the last lines, an equal share of each node. The first node reports for all, so its lines come last.
 * @param container Name of the container that runs the program
 */
export async function jobLog(api: KubernetesApi, pods: readonly Pod[], container: string): Promise<string> {
  const nodes = newestOfEachNode(pods.filter((pod) => hasContainer(pod, container)));
  const share = Math.floor(LOG_LINES / Math.max(nodes.length, 1));
  const logs = await Promise.all(
    nodes.map(async ([node, pod]) => {
      const log = (await api.podLog(pod.metadata?.name ?? '', container, share)).trimEnd();
      if (nodes.length === 1 || log === '') return log;
      return log.replace(/^/gm, `[node ${node}] `);
    }),
  );
  return logs.filter((log) => log !== '').join('\n');
}

const hasContainer = (pod: Pod, container: string): boolean =>
  pod.spec?.containers.some(({ name }) => name === container) ?? false;

/** Returns the newest pod of each node; a replaced pod keeps the node's index. */
function newestOfEachNode(pods: readonly Pod[]): [number, Pod][] {
  const byAge = [...pods].sort((a, b) => createdAt(a).localeCompare(createdAt(b)));
  const newest = new Map(byAge.map((pod) => [Number(pod.metadata?.labels?.[INDEX_LABEL] ?? 0), pod]));
  return [...newest].sort(([a], [b]) => b - a);
}

const createdAt = (pod: Pod): string => pod.metadata?.creationTimestamp ?? '';
