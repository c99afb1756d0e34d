/** Connection to Temporal: plain, TLS with certificates, or Temporal Cloud. */
import { readFileSync } from 'node:fs';
import type { TLSConfig } from '@temporalio/client';
import { z } from 'zod';

const path = z.string().min(1).optional();

export const temporalSchema = z.object({
  TEMPORAL_NAMESPACE: z.string().default('default').describe('Namespace of the workflows.'),
  TEMPORAL_TLS: z.enum(['true', 'false']).optional().describe('`true`: TLS, even without the files below.'),
  TEMPORAL_TLS_CA: path.describe(
    "PEM file of the authority that signed the server's certificate; by default the system's authorities.",
  ),
  TEMPORAL_TLS_CERT: path.describe("PEM file of the client's certificate, for mutual TLS."),
  TEMPORAL_TLS_KEY: path.describe("PEM file of the client's key, for mutual TLS."),
  TEMPORAL_TLS_SERVER_NAME: path.describe(
    "Name in the server's certificate, if it is not the address's host.",
  ),
  TEMPORAL_API_KEY: path.describe('Key of Temporal Cloud; implies TLS.'),
});
type TemporalEnvironment = z.infer<typeof temporalSchema>;

export interface ConnectionSecurity {
  /** TLS settings; undefined for a plain connection. */
  tls?: TLSConfig | boolean;
  apiKey?: string;
}

/** @throws Error that names the variable of an unreadable file, or variables that contradict each other */
export function connectionSecurity(env: TemporalEnvironment): ConnectionSecurity {
  const { TEMPORAL_API_KEY: apiKey, TEMPORAL_TLS_CERT: cert, TEMPORAL_TLS_KEY: key } = env;
  if ((cert === undefined) !== (key === undefined)) {
    throw new Error('invalid environment: TEMPORAL_TLS_CERT and TEMPORAL_TLS_KEY must be set together');
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
      'invalid environment: TEMPORAL_TLS is "false", but a certificate or TEMPORAL_API_KEY is set; remove one of them',
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
    throw new Error(`invalid environment: ${variable}: cannot read ${file}: ${(cause as Error).message}`, {
      cause,
    });
  }
}
