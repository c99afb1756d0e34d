/** MLflow's REST API: requests and errors. */
import { excerpt, HttpError, HttpService } from '../http.ts';
import type { HttpMethod } from '../http.ts';

const TIMEOUT_MS = 60_000;

/** MLflow answered with an error. */
export class MlflowError extends HttpError {
  /** MLflow's `error_code`, for example `RESOURCE_DOES_NOT_EXIST`. */
  readonly code: string;

  constructor(operation: string, request: string, status: number, body: string) {
    super(`MLflow: ${operation} failed: ${request} answered ${status}: ${excerpt(body)}`, status);
    this.name = 'MlflowError';
    this.code = /"error_code":\s*"(\w+)"/.exec(body)?.[1] ?? '';
  }
}

export class MlflowRest {
  readonly #service: HttpService;

  /** @param url Base URL of the tracking server, with user and password if it wants them */
  constructor(url: string, token?: string) {
    this.#service = new HttpService({ name: 'MLflow', url, token });
  }

  /** Calls an endpoint and parses its answer as T, without a check: these shapes are stable in MLflow's REST API. */
  async call<T>(operation: string, method: HttpMethod, path: string, body?: unknown): Promise<T> {
    return JSON.parse(await this.#send(operation, method, `/api/2.0/mlflow/${path}`, body)) as T;
  }

  /** @param path Path below the server's artifacts, percent-encoded */
  async uploadArtifact(operation: string, path: string, bytes: Uint8Array): Promise<void> {
    await this.#send(operation, 'PUT', `/api/2.0/mlflow-artifacts/artifacts/${path}`, bytes);
  }

  async #send(operation: string, method: HttpMethod, path: string, body: unknown): Promise<string> {
    const answer = await this.#service.send(method, path, { body, timeoutMs: TIMEOUT_MS });
    if (!answer.ok) throw new MlflowError(operation, `${method} ${path}`, answer.status, answer.text);
    return answer.text;
  }
}
