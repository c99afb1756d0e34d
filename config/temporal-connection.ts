/** How clients and workers reach Temporal: a plain port, TLS with certificates of one's own, or Temporal Cloud. */
import { readFileSync } from 'node:fs';
import type { TLSConfig } from '@temporalio/client';
import { z } from 'zod';

const path = z.string().min(1).optional();

export const temporalSchema = z.object({
  TEMPORAL_NAMESPACE: z.string().default('default'),
  /** `true`: TLS also without any of the files. */
  TEMPORAL_TLS: z.enum(['true', 'false']).optional(),
  /** PEM file of the authority that signed the server's certificate; absent: those that the system trusts. */
  TEMPORAL_TLS_CA: path,
  /** PEM files of the client's certificate and key, for mutual TLS. */
  TEMPORAL_TLS_CERT: path,
  TEMPORAL_TLS_KEY: path,
  /** Name in the server's certificate, where it is not the host of the address. */
  TEMPORAL_TLS_SERVER_NAME: path,
  /** Key of Temporal Cloud; implies TLS. */
  TEMPORAL_API_KEY: path,
});
type TemporalEnvironment = z.infer<typeof temporalSchema>;

export interface ConnectionSecurity {
  /** Absent: a plain connection. */
  tls?: TLSConfig | boolean;
  apiKey?: string;
}

/** @throws Error that names the variable whose file cannot be read, or that lacks its counterpart. */
export function connectionSecurity(env: TemporalEnvironment): ConnectionSecurity {
  const { TEMPORAL_API_KEY: apiKey, TEMPORAL_TLS_CERT: cert, TEMPORAL_TLS_KEY: key } = env;
  if ((cert === undefined) !== (key === undefined)) {
    throw new Error('wrong environment: TEMPORAL_TLS_CERT and TEMPORAL_TLS_KEY must be set together');
  }
  const custom: TLSConfig = {
    ...(env.TEMPORAL_TLS_SERVER_NAME === undefined
      ? {}
      : { serverNameOverride: env.TEMPORAL_TLS_SERVER_NAME }),
    ...(env.TEMPORAL_TLS_CA === undefined
      ? {}
      : { serverRootCACertificate: fileOf('TEMPORAL_TLS_CA', env.TEMPORAL_TLS_CA) }),
    ...(cert === undefined || key === undefined
      ? {}
      : { clientCertPair: { crt: fileOf('TEMPORAL_TLS_CERT', cert), key: fileOf('TEMPORAL_TLS_KEY', key) } }),
  };
  const isCustom = Object.keys(custom).length > 0;
  if (env.TEMPORAL_TLS === 'false' && (isCustom || apiKey !== undefined)) {
    throw new Error(
      'wrong environment: TEMPORAL_TLS is "false", but a certificate or TEMPORAL_API_KEY is set',
    );
  }
  const isWanted = isCustom || env.TEMPORAL_TLS === 'true' || apiKey !== undefined;
  return {
    ...(isWanted ? { tls: isCustom ? custom : true } : {}),
    ...(apiKey === undefined ? {} : { apiKey }),
  };
}

function fileOf(variable: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new Error(`wrong environment: ${variable}: cannot read ${file}: ${(cause as Error).message}`, {
      cause,
    });
  }
}
