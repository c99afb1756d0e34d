/** Wire format of forecasts: headers, requests, answers and refusals. docs/predictor.md describes it for clients. */
import { z } from 'zod';
import { seriesIdSchema } from './series-id.ts';

/** Version that must answer a request, or that gave an answer. */
export const VERSION_HEADER = 'x-shelfcast-version';
/** Version that the router could not reach for a request; a header of the answer. */
export const FAILED_VERSION_HEADER = 'x-shelfcast-failed-version';

export const MAX_INSTANCES = 10_000;
/** Number of faulty instances that a refusal lists. */
export const MAX_FAULTS = 20;
/** Number of missing features that a message and a listed fault name: 10,000 instances may lack all. */
export const MAX_NAMES = 10;
/** Totals of a request; each has queries of its own. */
export const MAX_TOTALS = 100;

/** A series whose newest week is this much older than the newest materialized week is stale, and not forecast. */
export const MAX_AGE_DAYS = 28;

/** Level of all series together. */
export const TOTAL_LEVEL = 'total';

/** Features by name; null where a value is unknown. */
export const featureValuesSchema = z.record(z.string(), z.number().nullable());

/** Request for one forecast: of a number of weeks ahead, or of a week. */
export const predictInstanceSchema = z
  .strictObject({
    store: seriesIdSchema,
    dept: seriesIdSchema,
    /** Weeks ahead of the newest week whose sales are known of the series, from 1. */
    horizon: z.int().optional(),
    /** Last day of the week to forecast, which is the same week for all series; not together with `features`. */
    targetWeek: z.iso.date().optional(),
    /** All features of the model. Without them the predictor reads Feast's online tables. */
    features: featureValuesSchema.optional(),
  })
  .refine(({ horizon, targetWeek }) => (horizon === undefined) !== (targetWeek === undefined))
  .refine(({ targetWeek, features }) => targetWeek === undefined || features === undefined);

/** Request for the forecast of a total: of a member of a level, or of all series. */
export const totalInstanceSchema = z
  .strictObject({
    /** `store`, `dept`, `total`, or a level that the data set declares. */
    level: z.string().min(1),
    /** Id of the store or department, or name of the member; the level `total` has none. */
    member: seriesIdSchema.optional(),
    /** Weeks ahead of the newest week whose sales are known of any series of the total, from 1. */
    horizon: z.int().optional(),
    /** Last day of the week to forecast. */
    targetWeek: z.iso.date().optional(),
  })
  .refine(({ horizon, targetWeek }) => (horizon === undefined) !== (targetWeek === undefined))
  .refine(({ level, member }) => (level === TOTAL_LEVEL) === (member === undefined));

/** The predictor parses requests by hand (predictor/instances.ts), which is faster and names the invalid instance. */
export const predictRequestSchema = z.strictObject({
  /** Series, or totals: a request asks for one of both. */
  instances: z.union([
    z.array(predictInstanceSchema).min(1).max(MAX_INSTANCES),
    z.array(totalInstanceSchema).min(1).max(MAX_TOTALS),
  ]),
});

const forecastOfWeek = {
  /** Index of the instance in the request; only with `?partial=true`. */
  instance: z.int().optional(),
  horizon: z.int(),
  /** Newest week whose sales the features know; null for instances that carried features. */
  origin: z.iso.date().nullable(),
  /** origin + horizon weeks; null for instances that carried features. */
  targetWeek: z.iso.date().nullable(),
  /** The same as p50, in the unit of the sales. */
  forecast: z.number(),
  p10: z.number(),
  p50: z.number(),
  p90: z.number(),
};

const predictionSchema = z.object({
  /** The ids, as the request wrote them. */
  store: z.union([z.int(), z.string()]),
  dept: z.union([z.int(), z.string()]),
  ...forecastOfWeek,
  /** Mark of a series without sales of its own, whose history is estimated; absent elsewhere. */
  coldStart: z.literal(true).optional(),
  /** The features that were used; only with `?explain=features`. */
  features: featureValuesSchema.optional(),
});

const totalPredictionSchema = z.object({
  level: z.string(),
  /** Id or name, as the request wrote it. */
  member: z.union([z.int(), z.string()]).optional(),
  ...forecastOfWeek,
  /** Number of summed series. Those whose newest week is over 28 days old have ended and are none of them. */
  series: z.int(),
  /**
   * Number of these without sales in the newest weeks of their store, so that the model does not reach the target week from
   * their newest one: the farthest week that it reaches stands for it. Absent where there are none.
   */
  behind: z.int().optional(),
});

/** Codes of refusals, for programs; docs/predictor.md explains each. */
const ERROR_CODES = [
  'INVALID_JSON',
  'INVALID_REQUEST',
  'EMPTY_INSTANCES',
  'INVALID_INSTANCE',
  'MISSING_RAW_FEATURES',
  'INVALID_ROUTES',
  'BAD_REQUEST',
  'UNAUTHORIZED',
  'MODEL_NOT_FOUND',
  'VERSION_NOT_FOUND',
  'NOT_FOUND',
  'UNKNOWN_SERIES',
  'UNKNOWN_LEVEL',
  'UNKNOWN_MEMBER',
  'STALE_FEATURES',
  'MISSING_FEATURES',
  'MISSING_CALENDAR_WEEK',
  'TOO_MANY_INSTANCES',
  'BODY_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'HORIZON_OUT_OF_RANGE',
  'NON_FINITE_FORECAST',
  'INFERENCE_FAILED',
  'UNREADABLE_FEATURE',
  'INTERNAL',
  'VERSION_UNREACHABLE',
  'VERSION_TIMED_OUT',
  'FEATURES_UNAVAILABLE',
  'NO_TRAFFIC',
] as const;

/** Reason why an instance was not answered. */
const faultSchema = z.looseObject({ instance: z.int(), code: z.enum(ERROR_CODES), message: z.string() });

export const predictResponseSchema = z.object({
  /** In the order of the instances; with `?partial=true`, of those that have no fault. */
  predictions: z.array(predictionSchema),
  /** Instances that were not answered, in their order; only with `?partial=true`, absent where there are none. */
  faults: z.array(faultSchema).optional(),
  modelName: z.string(),
  modelVersion: z.string(),
  /** Unit of the forecasts; absent where they are in US dollars. */
  unit: z.string().optional(),
  /** Sorted names of ignored features: the request has them, the model does not. */
  ignoredFeatures: z.array(z.string()).optional(),
});

/** Answer to a request for totals. */
export const totalsResponseSchema = predictResponseSchema.extend({
  predictions: z.array(totalPredictionSchema),
});

/** Body of every refusal of the predictor and the router. */
export const errorBodySchema = z.object({
  /** `message` is a sentence; the other keys hold its facts, and `faults` those of the first instances where several have one. */
  error: z.looseObject({ code: z.enum(ERROR_CODES), message: z.string() }),
});

/** Answer of `GET /readyz`. */
export const readyResponseSchema = z.object({
  ready: z.boolean(),
  modelName: z.string(),
  modelVersion: z.string(),
  /** A sentence; absent when ready. */
  reason: z.string().optional(),
});

export type PredictInstance = z.infer<typeof predictInstanceSchema>;
export type TotalInstance = z.infer<typeof totalInstanceSchema>;
export type TotalPrediction = z.infer<typeof totalPredictionSchema>;
export type Prediction = z.infer<typeof predictionSchema>;
export type TotalsResponse = z.infer<typeof totalsResponseSchema>;
export type PredictResponse = z.infer<typeof predictResponseSchema>;
export type Fault = z.infer<typeof faultSchema>;
export type ErrorCode = (typeof ERROR_CODES)[number];
export type ErrorBody = z.infer<typeof errorBodySchema>;
export type ReadyResponse = z.infer<typeof readyResponseSchema>;
