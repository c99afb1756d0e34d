/** Asks the deployed endpoint for forecasts, as any client of it would. */
import { z } from 'zod';

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
): Promise<Answer> {
  const response = await fetch(`${url}/v1/models/${modelName}:predict`, {
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
