/** Evaluation of NetworkPolicies by Kubernetes' rules, for the selectors that this project's policies use. */
import { BlockList, isIP } from 'node:net';

interface Selector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}
interface Peer {
  podSelector?: Selector;
  namespaceSelector?: Selector;
  ipBlock?: { cidr: string; except?: string[] };
}
interface Port {
  port?: number | string;
  protocol?: string;
}
export interface Policy {
  metadata: { name: string; namespace?: string };
  spec: {
    podSelector: Selector;
    policyTypes: string[];
    ingress?: { from?: Peer[]; ports?: Port[] }[];
    egress?: { to?: Peer[]; ports?: Port[] }[];
  };
}

export interface Pod {
  namespace: string;
  labels: Record<string, string>;
}
/** An address that is no pod of this cluster: the API server, a database elsewhere. */
export const OUTSIDE = '203.0.113.7';
/** Addresses at which clouds keep the keys of their machines; the last ones lead to one of IPv4. */
export const METADATA_SERVICES = [
  ...['169.254.169.254', '169.254.170.2', '100.100.100.200', '168.63.129.16', '192.0.0.192'],
  ...[
    'fe80::a9fe:a9fe',
    'fd00:ec2::254',
    'fd00:ec2::23',
    'fd20:ce::254',
    'fd00:c1::a9fe:a9fe',
    'fd00:42::42',
  ],
  ...[
    '64:ff9b::a9fe:a9fe',
    '64:ff9b::a83f:8110',
    '64:ff9b::6464:64c8',
    '2002:a9fe:a9fe::',
    '2002:a83f:8110::',
  ],
] as const;
type End = Pod | typeof OUTSIDE | (typeof METADATA_SERVICES)[number];

export interface Connection {
  from: End;
  to: End;
  port: number;
  protocol?: 'TCP' | 'UDP';
}

/** Allowed when the egress of one end and the ingress of the other are. */
export function isAllowed(
  policies: readonly Policy[],
  { from, to, port, protocol = 'TCP' }: Connection,
): boolean {
  return (
    isOpen(policies, 'Egress', from, to, port, protocol) &&
    isOpen(policies, 'Ingress', to, from, port, protocol)
  );
}

function isOpen(
  policies: readonly Policy[],
  direction: 'Egress' | 'Ingress',
  pod: End,
  other: End,
  port: number,
  protocol: string,
): boolean {
  if (typeof pod === 'string') return true;
  const inForce = policies.filter(
    ({ metadata, spec }) =>
      metadata.namespace === pod.namespace &&
      spec.policyTypes.includes(direction) &&
      matches(spec.podSelector, pod.labels),
  );
  if (inForce.length === 0) return true;
  const rules = inForce.flatMap(({ metadata: { namespace = '' }, spec }) =>
    direction === 'Egress'
      ? (spec.egress ?? []).map(({ ports, to }) => ({ ports, peers: to, namespace }))
      : (spec.ingress ?? []).map(({ ports, from }) => ({ ports, peers: from, namespace })),
  );
  return rules.some(
    ({ ports, peers, namespace }) =>
      (ports === undefined || ports.some((each) => isPort(each, port, protocol))) &&
      (peers === undefined || peers.some((peer) => isPeer(peer, other, namespace))),
  );
}

const isPort = (rule: Port, port: number, protocol: string): boolean =>
  (rule.protocol ?? 'TCP') === protocol && (rule.port === undefined || Number(rule.port) === port);

function isPeer(
  { podSelector, namespaceSelector, ipBlock }: Peer,
  end: End,
  policyNamespace: string,
): boolean {
  // Networks differ in whether a block of addresses has pods, too: here it has all of them.
  if (ipBlock !== undefined) return typeof end !== 'string' || isWithin(ipBlock, end);
  if (typeof end === 'string') return false;
  const isNamespace =
    namespaceSelector === undefined
      ? end.namespace === policyNamespace
      : matches(namespaceSelector, { 'kubernetes.io/metadata.name': end.namespace });
  return isNamespace && (podSelector === undefined || matches(podSelector, end.labels));
}

function isWithin({ cidr, except = [] }: { cidr: string; except?: string[] }, address: string): boolean {
  const holds = (block: string): boolean => {
    const [network = '', bits] = block.split('/');
    const list = new BlockList();
    list.addSubnet(network, Number(bits), isIP(network) === 6 ? 'ipv6' : 'ipv4');
    return isIP(network) === isIP(address) && list.check(address);
  };
  return holds(cidr) && !except.some(holds);
}

function matches(
  { matchLabels = {}, matchExpressions = [] }: Selector,
  labels: Record<string, string>,
): boolean {
  const equal = Object.entries(matchLabels).every(([name, value]) => labels[name] === value);
  return (
    equal &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      switch (operator) {
        case 'Exists':
          return value !== undefined;
        case 'DoesNotExist':
          return value === undefined;
        case 'In':
          return value !== undefined && values.includes(value);
        default:
          throw new Error(`the operator ${operator} is not understood here`);
      }
    })
  );
}
