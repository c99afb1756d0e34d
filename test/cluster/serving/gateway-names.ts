/** Host names that lead to the dev cluster's gateway, for tests that share it: each has its own, and so none gets another's requests. */
import { lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { Agent, setGlobalDispatcher } from 'undici';
import { GATEWAY_URL } from '../dev-cluster.ts';

const DOMAIN = '.apps.dev-cluster.internal';

const lookupOfGateway: LookupFunction = (hostname, options, callback) => {
  if (!hostname.endsWith(DOMAIN)) lookup(hostname, options, callback);
  else if (options.all === true) callback(null, [{ address: new URL(GATEWAY_URL).hostname, family: 4 }]);
  else callback(null, new URL(GATEWAY_URL).hostname, 4);
};

/** Returns the host name; from now on every request of this process finds it. */
export function gatewayHost(name: string): string {
  setGlobalDispatcher(new Agent({ connect: { lookup: lookupOfGateway } }));
  return `${name}${DOMAIN}`;
}
