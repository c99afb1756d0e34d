/**
 * Client of supervisord's XML-RPC over its unix socket.
 *
 * The XML-RPC clients on npm are unmaintained or bring an HTTP server, and none connects to a unix socket.
 */
import { XMLParser } from 'fast-xml-parser';
import { Client } from 'undici';
import { z } from 'zod';

/** Fault codes of supervisord (supervisor/xmlrpc.py). */
export const FAULTS = {
  /** supervisord is shutting down. */
  shutdownState: 6,
  badName: 10,
  noFile: 20,
  notExecutable: 21,
  abnormalTermination: 40,
  spawnError: 50,
  alreadyStarted: 60,
  notRunning: 70,
  alreadyAdded: 90,
} as const;

/** Longer than any program may take to stop, because supervisord answers after its end. */
const CALL_TIMEOUT_MS = 150_000;

/** supervisord answered a call with a fault. */
export class SupervisorFault extends Error {
  readonly code: number;

  constructor(call: string, code: number, text: string) {
    super(`supervisord refused ${call}: ${text} (fault ${code})`);
    this.name = 'SupervisorFault';
    this.code = code;
  }
}

/** Nothing answers at the socket. */
export class SupervisorUnreachable extends Error {
  constructor(call: string, socketPath: string, cause: unknown) {
    super(`supervisord did not answer ${call} at ${socketPath}: ${(cause as Error).message}`, { cause });
    this.name = 'SupervisorUnreachable';
  }
}

/**
 * Calls a method of the namespace `supervisor`. Parameters are strings, as in every call that the project makes.
 * @throws SupervisorFault; SupervisorUnreachable when nothing answers at the socket; Error when supervisord answers late or wrongly
 */
export async function callSupervisor(
  socketPath: string,
  method: string,
  params: readonly string[] = [],
  timeoutMs = CALL_TIMEOUT_MS,
): Promise<unknown> {
  const call = `${method}(${params.join(', ')})`;
  const client = new Client('http://supervisord', { socketPath });
  const timeout = AbortSignal.timeout(timeoutMs);
  let answer: { statusCode: number; text: string };
  try {
    const { statusCode, body } = await client.request({
      method: 'POST',
      path: '/RPC2',
      headers: { 'content-type': 'text/xml' },
      body: encodeCall(`supervisor.${method}`, params),
      signal: timeout,
    });
    answer = { statusCode, text: await body.text() };
  } catch (cause) {
    if (timeout.aborted)
      throw new Error(`supervisord did not answer ${call} within ${timeoutMs} ms`, { cause });
    throw new SupervisorUnreachable(call, socketPath, cause);
  } finally {
    await client.destroy();
  }
  if (answer.statusCode !== 200)
    throw new Error(`supervisord answered ${call} with HTTP status ${answer.statusCode}`);
  const { methodResponse } = responseSchema.parse(parser.parse(answer.text));
  if ('params' in methodResponse) return decodeValue(methodResponse.params.param.value);
  const { faultCode, faultString } = faultSchema.parse(decodeValue(methodResponse.fault.value));
  throw new SupervisorFault(call, faultCode, faultString);
}

function encodeCall(method: string, params: readonly string[]): string {
  const encoded = params.map((param) => `<param><value><string>${escapeXml(param)}</string></value></param>`);
  return `<?xml version="1.0"?><methodCall><methodName>${method}</methodName><params>${encoded.join('')}</params></methodCall>`;
}

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const parser = new XMLParser({
  parseTagValue: false,
  isArray: (name, path) => name === 'member' || String(path).endsWith('data.value'),
});

const holderSchema = z.object({ value: z.unknown() });
const responseSchema = z.object({
  methodResponse: z.union([
    z.object({ params: z.object({ param: holderSchema }) }),
    z.object({ fault: holderSchema }),
  ]),
});
const faultSchema = z.object({ faultCode: z.int(), faultString: z.string() });
/** Schema that accepts an empty text, which the parser returns for an element without children. */
const orEmpty = <T extends z.ZodType>(schema: T) => z.union([schema, z.literal('').transform(() => ({}))]);
const valueSchema = z.union([
  z.object({ string: z.string() }),
  z.object({ int: z.coerce.number() }),
  z.object({ boolean: z.enum(['0', '1']) }),
  z.object({ array: z.object({ data: orEmpty(z.object({ value: z.array(z.unknown()).optional() })) }) }),
  z.object({
    struct: z.object({ member: z.array(z.object({ name: z.string(), value: z.unknown() })) }),
  }),
]);

function decodeValue(raw: unknown): unknown {
  const value = valueSchema.parse(raw);
  if ('string' in value) return value.string;
  if ('int' in value) return value.int;
  if ('boolean' in value) return value.boolean === '1';
  if ('array' in value)
    return ('value' in value.array.data ? (value.array.data.value ?? []) : []).map(decodeValue);
  return Object.fromEntries(
    value.struct.member.map(({ name, value: member }) => [name, decodeValue(member)]),
  );
}
