/** Check that the Gateway works and accepts routes of the namespace. */
import { z } from 'zod';
import type { Finding, CheckContext } from './finding.ts';
import { describeError } from '../../error-text.ts';
import { HttpService } from '../../http.ts';
import { runCheck, ok, wrong } from './finding.ts';
import type { ServingConfig } from '../serving/serving-config.ts';

const ANSWER_TIMEOUT_MS = 5_000;

const listenerSchema = z.object({
  name: z.string(),
  protocol: z.string(),
  allowedRoutes: z
    .object({
      namespaces: z
        .object({
          from: z.string().default('Same'),
          selector: z.object({ matchLabels: z.record(z.string(), z.string()).default({}) }).optional(),
        })
        .prefault({}),
    })
    .prefault({}),
});
const gatewaySchema = z.object({
  spec: z.object({ listeners: z.array(listenerSchema) }),
  status: z
    .object({
      addresses: z.array(z.object({ value: z.string() })).default([]),
      conditions: z
        .array(z.object({ type: z.string(), status: z.string(), message: z.string().default('') }))
        .default([]),
    })
    .prefault({}),
});
type Listener = z.output<typeof listenerSchema>;
type ParentRef = ServingConfig['parentRefs'][number];

export async function checkGateways(context: CheckContext): Promise<Finding[]> {
  const addresses: string[] = [];
  const findings = await Promise.all(
    context.config.serving.parentRefs.map((parent) =>
      runCheck(nameOf(context, parent), () => checkGateway(context, parent, addresses)),
    ),
  );
  return [...findings.flat(), ...(await checkAnswer(context, addresses))];
}

const namespaceOf = ({ config }: CheckContext, parent: ParentRef): string =>
  parent.namespace ?? config.namespace;
const nameOf = (context: CheckContext, parent: ParentRef): string =>
  `Gateway ${namespaceOf(context, parent)}/${parent.name}`;

async function checkGateway(context: CheckContext, parent: ParentRef, addresses: string[]): Promise<Finding> {
  const what = nameOf(context, parent);
  const namespace = namespaceOf(context, parent);
  const object = await context.api.read({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: parent.name, namespace },
  });
  if (object === null) return wrong(what, 'it does not exist; create it, or correct serving.parentRefs');
  const { spec, status } = gatewaySchema.parse(object);
  addresses.push(...status.addresses.map(({ value }) => value));
  const programmed = status.conditions.find(({ type }) => type === 'Programmed');
  if (programmed?.status !== 'True') {
    const reason = programmed === undefined ? 'no controller has processed it' : programmed.message;
    return wrong(what, `it is not programmed (${reason}); check that the controller of its class runs`);
  }
  const { sectionName } = parent;
  const listeners = spec.listeners.filter(({ name }) => sectionName === undefined || name === sectionName);
  if (listeners.length === 0)
    return wrong(what, `it has no listener "${sectionName ?? ''}"; correct serving.parentRefs`);
  const admitting = await Promise.all(listeners.map((listener) => admits(context, namespace, listener)));
  if (!admitting.some(Boolean)) {
    return wrong(
      what,
      `none of its listeners admits routes of the namespace "${context.config.namespace}"; change their allowedRoutes`,
    );
  }
  return ok(`${what}, programmed`);
}

async function admits(
  { api, config }: CheckContext,
  gatewayNamespace: string,
  listener: Listener,
): Promise<boolean> {
  const { from, selector } = listener.allowedRoutes.namespaces;
  if (from === 'All') return true;
  if (from === 'Same') return gatewayNamespace === config.namespace;
  const namespace = await api.read({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: config.namespace },
  });
  const { metadata } = z
    .object({ metadata: z.object({ labels: z.record(z.string(), z.string()).default({}) }) })
    .parse(namespace);
  return Object.entries(selector?.matchLabels ?? {}).every(
    ([name, value]) => metadata.labels[name] === value,
  );
}

/** Check that `serving.url` answers. Any answer suffices: a gateway without a route for the path answers 404. */
async function checkAnswer({ config }: CheckContext, addresses: string[]): Promise<Finding[]> {
  const what = `serving.url ${config.serving.url}`;
  return runCheck(what, async () => {
    try {
      await new HttpService({ name: 'the gateway', url: config.serving.url }).send('GET', '/', {
        timeoutMs: ANSWER_TIMEOUT_MS,
      });
      return ok(`${what} answers`);
    } catch (error) {
      // The message of an unanswered request names the gateway, as the finding does; its cause is the reason.
      const reason = describeError((error as Error).cause ?? error);
      const known = addresses.length === 0 ? '' : ` (the Gateway's addresses are ${addresses.join(', ')})`;
      return wrong(
        what,
        `it does not answer from here: ${reason}; correct it in the configuration${known}, or ask from a worker's pod`,
      );
    }
  });
}
