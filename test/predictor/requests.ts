/** Requests of the tests, and the forecasts that the model of write_model.py must answer. */

/** Names in the model's order. */
export const FEATURES = [
  'lag_1',
  'rolling_mean_4',
  'last_year',
  'temperature',
  'store_size',
  'store_type',
  'is_holiday',
  'week_of_year',
] as const;

export type RawFeatures = Record<(typeof FEATURES)[number], number | null>;

export interface Instance {
  store: number;
  dept: number;
  horizon: number;
  features?: RawFeatures;
}

export interface Prediction extends Instance {
  origin: string | null;
  targetWeek: string | null;
  forecast: number;
  p10: number;
  p50: number;
  p90: number;
}

export interface Answer {
  status: number;
  headers: Headers;
  body: {
    predictions?: Prediction[];
    modelName?: string;
    modelVersion?: string;
    ignoredFeatures?: string[];
    error?: { code: string; message: string } & Record<string, unknown>;
  };
}

export const raw = (changed: Partial<RawFeatures> = {}): RawFeatures => ({
  lag_1: 1000,
  rolling_mean_4: 900,
  last_year: 800,
  temperature: 50,
  store_size: 100_000,
  store_type: 1,
  is_holiday: 0,
  week_of_year: 6,
  ...changed,
});

/** The p50 that the graph of write_model.py answers, in float32 as the graph computes it. */
export function expectedP50({ store, dept, horizon }: Instance, features: RawFeatures, offset = 0): number {
  const weighted = FEATURES.reduce((sum, name, i) => sum + (features[name] ?? 7) / 2 ** i, 0);
  return Math.fround(weighted + (offset + store * 0.1 + dept * 0.01 + horizon * 0.001));
}

export async function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Answer['body'],
  };
}
