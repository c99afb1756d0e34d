/** Asks the deployed endpoint for forecasts, as any client of it would. */
import { ApplicationFailure } from '@temporalio/common';
import { z } from 'zod';
import { ERROR_TYPES } from '../contracts/errors.ts';

const predictionSchema = z.object({
  store: z.int(),
  dept: z.int(),
  horizon: z.int(),
  /** Null for instances that carried raw features. */
  origin: z.iso.date().nullable(),
  targetWeek: z.iso.date().nullable(),
  p10: z.number(),
  p50: z.number(),
  p90: z.number(),
  /** Those that were used, when they were asked for. */
  features: z.record(z.string(), z.number().nullable()).optional(),
});
export type Prediction = z.infer<typeof predictionSchema>;
const answerSchema = z.object({ predictions: z.array(predictionSchema) });

export interface Instance {
  store: number;
  dept: number;
  horizon: number;
  features?: Record<string, number | null>;
}

export interface Answer {
  /** Null when the request was refused, or answered by what are no forecasts of it; `message` holds the answer. */
  predictions: Prediction[] | null;
  message: string;
  status: number;
  /** The version that answered; null when the router answered itself. */
  version: number | null;
  /** A version that the router could not reach for this request. */
  unreachableVersion: number | null;
}

export interface Endpoint {
  /** Base URL of the router. */
  url: string;
  modelName: string;
}

/** @param version sends the request to this version whatever the traffic weights are. */
export async function askForecasts(
  { url, modelName }: Endpoint,
  instances: readonly Instance[],
  signal: AbortSignal,
  version?: number,
  query: '' | '?explain=features' = '',
): Promise<Answer> {
  const response = await fetch(`${url}/v1/models/${modelName}:predict${query}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(version === undefined ? {} : { 'x-shelfcast-version': String(version) }),
    },
    body: JSON.stringify({ instances }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(90_000)]),
  });
  const text = await response.text();
  const header = (name: string) => {
    const value = response.headers.get(name);
    return value === null ? null : Number(value);
  };
  const predictions = response.ok ? readPredictions(text, instances.length) : null;
  return {
    status: response.status,
    version: header('x-shelfcast-version'),
    unreachableVersion: header('x-shelfcast-failed-version'),
    message: predictions === null ? text.slice(0, 500) : '',
    predictions,
  };
}

/** The predictions of an answer; a refusal fails as `CandidateFailed`, unless nobody was there to give one. */
export function forecastsOf({ predictions, status, version, message }: Answer, asked: string): Prediction[] {
  if (predictions !== null) return predictions;
  // Away for the moment: a gateway that reaches no version answers 500 itself.
  const isAway = status >= 502 || (status === 500 && version === null);
  throw ApplicationFailure.create({
    message: `${asked}: ${status} ${message}`,
    type: isAway ? ERROR_TYPES.serviceUnavailable : ERROR_TYPES.candidateFailed,
    nonRetryable: !isAway,
  });
}

/** Null when the text is no answer to this many instances. */
function readPredictions(text: string, expected: number): Prediction[] | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  const answer = answerSchema.safeParse(json);
  return answer.success && answer.data.predictions.length === expected ? answer.data.predictions : null;
}
