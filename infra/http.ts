/**
 * HTTP client of MLflow, Ray, the router and the endpoint. Uses undici's `request`, because `fetch` sends browser headers, which
 * Ray refuses.
 */
import { request } from 'undici';
import { describeError } from './error-text.ts';

/** Characters of an answer that an error shows. */
const EXCERPT_LENGTH = 500;

/** Statuses of a service, or a proxy before it, that is unavailable or overloaded. */
const UNAVAILABLE_STATUSES: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

export const isUnavailableStatus = (status: number): boolean => UNAVAILABLE_STATUSES.has(status);

/** The service answered with an error. */
export class HttpError extends Error {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.name = 'HttpError';
    this.status = status;
  }

  /** Whether the service is unavailable for the moment, so that a retry helps. */
  get isUnavailable(): boolean {
    return isUnavailableStatus(this.status);
  }
}

export interface HttpAnswer {
  status: number;
  /** Whether the status is from 200 to 299. */
  ok: boolean;
  text: string;
  /** Value of a header; null when it is missing or comes more than once. */
  header(name: string): string | null;
}

export interface HttpRequest {
  headers?: Readonly<Record<string, string>>;
  /** Body of the request. Bytes are sent unchanged, everything else as JSON. */
  body?: unknown;
  /** Time limit for the whole answer. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  /** Closes the connection after the answer, so that the next request may reach another process behind the address. */
  closesConnection?: boolean;
}

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'DELETE';

export interface HttpServiceOptions {
  /** Name of the service, the subject of an error in lower case, e.g. `the router`. */
  name: string;
  /** Base URL. Credentials in it are sent, and never shown. */
  url: string;
  token?: string | undefined;
  /** Advice for the case that no answer comes, for example `check serving.url`. */
  advice?: string;
}

/** Returns a URL without user and password, as messages show it. */
export function withoutLogin(address: string): string {
  const url = new URL(address);
  if (url.username === '' && url.password === '') return address;
  url.username = '';
  url.password = '';
  return url.href.replace(/\/$/, '');
}

/** A service at a base URL. */
export class HttpService {
  /** Base URL without credentials and without a slash at its end. */
  readonly url: string;
  readonly #name: string;
  readonly #advice: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor({ name, url, token, advice }: HttpServiceOptions) {
    const parsed = new URL(url);
    const { username, password } = parsed;
    this.url = withoutLogin(parsed.href).replace(/\/+$/, '');
    this.#name = `${name} at ${this.url}`;
    this.#advice = advice === undefined ? '' : `; ${advice}`;
    this.#headers = authorization(this.#name, username, password, token);
  }

  /**
   * Sends a request and reads the whole answer, whatever its status.
   * @param path with a leading slash
   * @throws Error with the network's error as `cause` when no answer came; the reason of `signal` when that aborted
   */
  async send(method: HttpMethod, path: string, options: HttpRequest): Promise<HttpAnswer> {
    const { body, headers, signal, timeoutMs } = options;
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await request(`${this.url}${path}`, {
        method,
        headers: { ...this.#headers, ...contentType(body), ...headers },
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
        reset: options.closesConnection ?? false,
        ...(body === undefined ? {} : { body: body instanceof Uint8Array ? body : JSON.stringify(body) }),
      });
      const { statusCode: status } = response;
      const header = (name: string): string | null => {
        const value = response.headers[name];
        return typeof value === 'string' ? value : null;
      };
      return { status, ok: status >= 200 && status < 300, text: await response.body.text(), header };
    } catch (cause) {
      signal?.throwIfAborted();
      throw new Error(
        `${this.#name} did not answer ${method} ${path}: ${describeError(cause)}${this.#advice}`,
        {
          cause,
        },
      );
    }
  }

  /** Returns the error for an answer that is not an expected one. */
  unexpectedAnswer(operation: string, { status, text }: HttpAnswer): HttpError {
    return new HttpError(`${this.#name}: ${operation} was answered ${status}: ${excerpt(text)}`, status);
  }
}

/** Returns the part of an answer that fits into an error. */
export const excerpt = (text: string): string => text.slice(0, EXCERPT_LENGTH);

const contentType = (body: unknown): Record<string, string> =>
  body === undefined
    ? {}
    : { 'content-type': body instanceof Uint8Array ? 'application/octet-stream' : 'application/json' };

function authorization(
  service: string,
  username: string,
  password: string,
  token: string | undefined,
): Record<string, string> {
  if (token !== undefined) return { authorization: `Bearer ${token}` };
  if (username === '') return {};
  let credentials: string;
  try {
    credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  } catch {
    // Without the cause and the text, which may have the password.
    throw new Error(
      `the user or the password in the address of ${service} has a % that encodes no character; write %25 for a %, %40 for @, %3A for : and %2F for /`,
    );
  }
  return { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` };
}
