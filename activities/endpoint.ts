/** Client of the deployed endpoint, which asks for forecasts as any other client does. */
import { ApplicationFailure } from '@temporalio/common';
import { ERROR_TYPES } from '../contracts/errors.ts';
import { FAILED_VERSION_HEADER, VERSION_HEADER, predictResponseSchema } from '../contracts/predict.ts';
import { excerpt, HttpService, isUnavailableStatus } from '../infra/http.ts';
import type { PredictInstance, Prediction } from '../contracts/predict.ts';

/** Time limit of a request; the router gives up earlier. */
const TIMEOUT_MS = 90_000;

export interface Answer {
  /** Null when the answer is a refusal or lacks the requested forecasts; `message` then holds its text. */
  predictions: Prediction[] | null;
  message: string;
  status: number;
  /** Version that answered; null when the router answered itself. */
  version: number | null;
  /** Version that the router could not reach for this request. */
  unreachableVersion: number | null;
}

export interface Endpoint {
  /** Base URL of the router. */
  url: string;
  modelName: string;
}

/** @param version pins the request to this version, whatever the traffic weights are. */
export async function askForecasts(
  { url, modelName }: Endpoint,
  instances: readonly PredictInstance[],
  signal: AbortSignal,
  version?: number,
  query: '' | '?explain=features' = '',
): Promise<Answer> {
  const endpoint = new HttpService({ name: 'the endpoint', url });
  const answer = await endpoint.send('POST', `/v1/models/${modelName}:predict${query}`, {
    headers: version === undefined ? {} : { [VERSION_HEADER]: String(version) },
    body: { instances },
    timeoutMs: TIMEOUT_MS,
    signal,
  });
  const number = (header: string) => {
    const value = answer.header(header);
    return value === null ? null : Number(value);
  };
  const predictions = answer.ok ? readPredictions(answer.text, instances.length) : null;
  return {
    status: answer.status,
    version: number(VERSION_HEADER),
    unreachableVersion: number(FAILED_VERSION_HEADER),
    message: predictions === null ? excerpt(answer.text) : '',
    predictions,
  };
}

/**
 * Returns an answer's predictions.
 *
 * @param asked version that the request was pinned to
 * @param expected forecasts that the request asked for, in words
 * @throws ApplicationFailure `ServiceUnavailable` when no version answered, else `CandidateFailed`
 */
export function forecastsOf(
  { predictions, status, version, message }: Answer,
  asked: number,
  expected: string,
): Prediction[] {
  if (predictions !== null) return predictions;
  // A gateway that reaches no version answers 500 itself, without a version.
  const isUnavailable = isUnavailableStatus(status) || (status === 500 && version === null);
  throw ApplicationFailure.create({
    message: `version ${asked} did not return ${expected}: the answer was ${status} ${message}`,
    type: isUnavailable ? ERROR_TYPES.serviceUnavailable : ERROR_TYPES.candidateFailed,
    nonRetryable: !isUnavailable,
  });
}

/** Returns null when the text is not a response with this many predictions. */
function readPredictions(text: string, expected: number): Prediction[] | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  const answer = predictResponseSchema.safeParse(json);
  return answer.success && answer.data.predictions.length === expected ? answer.data.predictions : null;
}
