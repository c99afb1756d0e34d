/** Validation of a request's body. Each refusal names the instance and says what to send instead. */
import type { ModelManifest } from '../contracts/model.ts';
import {
  MAX_INSTANCES,
  MAX_NAMES,
  MAX_TOTALS,
  predictInstanceSchema,
  TOTAL_LEVEL,
  totalInstanceSchema,
} from '../contracts/predict.ts';
import type { PredictInstance, TotalInstance } from '../contracts/predict.ts';
import { normalId } from '../contracts/series-id.ts';
import type { SeriesId } from '../contracts/series-id.ts';
import { faultOf, RequestError } from './errors.ts';
import type { InstanceFault } from './errors.ts';

export interface Instance extends Pick<PredictInstance, 'store' | 'dept'> {
  /** Index in the request. */
  index: number;
  /** Weeks ahead; undefined where the target week and the origin of the series decide. */
  horizon: number | undefined;
  /** Target week in days since 1970-01-01. */
  targetDay?: number;
  /** Raw features in the model's order, NaN where the value is unknown; absent for features from Feast. */
  features?: Float64Array;
}

/** Total that a request asks for. */
export interface AskedTotal extends Pick<TotalInstance, 'level' | 'member'> {
  /** Index in the request. */
  index: number;
  /** Weeks ahead of the newest week of its series; undefined where the target week decides. */
  horizon: number | undefined;
  /** Target week in days since 1970-01-01. */
  targetDay?: number;
}

export interface ParsedRequest {
  /** Series; empty where the request asks for totals. */
  instances: Instance[];
  totals: AskedTotal[];
  /** Instances that are neither, in their order. */
  faults: InstanceFault[];
  /** Names of raw features that the model does not know, sorted. They are ignored. */
  ignoredFeatures: string[];
}

type JsonObject = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const MS_PER_DAY = 86_400_000;
const ISO_DATE = /^\d{4}-\d{2}-\d{2}$/;
/** Clients of the v1 protocol send the others beside the instances; nothing here depends on them. */
const BODY_KEYS: ReadonlySet<string> = new Set(['instances', 'signature_name', 'id', 'parameters']);
const SERIES_KEYS = new Set(Object.keys(predictInstanceSchema.shape));
const TOTAL_KEYS = new Set(Object.keys(totalInstanceSchema.shape));

function invalidInstance(index: number, reason: string): RequestError {
  return new RequestError(400, 'INVALID_INSTANCE', `Instance ${index}: ${reason}`, { instance: index });
}

function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  try {
    return JSON.stringify(value).slice(0, 60);
  } catch {
    // JSON.parse reads any depth; JSON.stringify recurses and overflows the stack.
    return 'too deeply nested to be shown';
  }
}

function wholeNumber(instance: JsonObject, key: string, index: number): number {
  const value = instance[key];
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    throw invalidInstance(index, `"${key}" must be a whole number, but is ${shown(value)}.`);
  }
  return value;
}

/** Returns the target week in days since 1970-01-01. */
function targetDay(instance: JsonObject, index: number): number {
  const week = instance['targetWeek'];
  for (const other of ['horizon', 'features'])
    if (instance[other] !== undefined)
      throw invalidInstance(index, `"targetWeek" and "${other}" exclude each other; send one of them.`);
  const time = typeof week === 'string' && ISO_DATE.test(week) ? Date.parse(week) : NaN;
  // Date.parse takes 2012-02-30 for the first of March.
  if (Number.isNaN(time) || new Date(time).toISOString().slice(0, 10) !== week)
    throw invalidInstance(index, `"targetWeek" must be a date like "2012-02-03", but is ${shown(week)}.`);
  return time / MS_PER_DAY;
}

function seriesId(instance: JsonObject, key: 'store' | 'dept' | 'member', index: number): SeriesId {
  const value = instance[key];
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  if (typeof value === 'string' && normalId(value) !== undefined) return value;
  throw invalidInstance(index, `"${key}" ${whyNoId(value)}`);
}

function whyNoId(value: unknown): string {
  if (typeof value === 'string') {
    return `must have 1 to 100 characters, and no control characters, but is ${shown(value)}.`;
  }
  if (Number.isInteger(value)) {
    return `is the number ${shown(value)}, of which JSON keeps only the first 15 or 16 digits; send the id as a string.`;
  }
  return `must be a string or a whole number, but is ${shown(value)}.`;
}

function rawFeatures(
  raw: unknown,
  index: number,
  manifest: ModelManifest,
  known: ReadonlySet<string>,
  ignored: Set<string>,
): Float64Array {
  if (!isObject(raw)) {
    throw invalidInstance(
      index,
      `"features" must be an object of name to number or null, but is ${shown(raw)}.`,
    );
  }
  const missing = manifest.features.filter(({ name }) => !Object.hasOwn(raw, name)).map(({ name }) => name);
  if (missing.length > 0) {
    const others = missing.length > MAX_NAMES ? ` and ${missing.length - MAX_NAMES} more` : '';
    throw new RequestError(
      400,
      'MISSING_RAW_FEATURES',
      `Instance ${index}: "features" lacks ${missing.slice(0, MAX_NAMES).join(', ')}${others}; send null where a value is unknown.`,
      { instance: index, features: missing },
    );
  }
  for (const name of Object.keys(raw)) if (!known.has(name)) ignored.add(name);
  const values = Float64Array.from(manifest.features, ({ name }) => {
    const value = raw[name];
    if (value === null) return NaN;
    // JSON's 1e999 parses to Infinity.
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    throw invalidInstance(
      index,
      `feature "${name}" must be a finite number or null, but is ${shown(value)}.`,
    );
  });
  if (manifest.features.every(({ view }, i) => view !== 'sales_history' || Number.isNaN(values[i])))
    throw new RequestError(
      400,
      'MISSING_RAW_FEATURES',
      `Instance ${index}: all "features" of the sales are null, so that there is nothing to forecast from; send those that are known, or no "features".`,
      { instance: index },
    );
  return values;
}

function instancesOf(body: unknown): readonly unknown[] {
  if (!isObject(body) || !Array.isArray(body['instances'])) {
    throw new RequestError(400, 'INVALID_REQUEST', 'The body must be an object {"instances":[...]}.');
  }
  const extra = Object.keys(body).filter((key) => !BODY_KEYS.has(key));
  if (extra.length > 0) {
    throw new RequestError(
      400,
      'INVALID_REQUEST',
      `The body holds unknown keys: ${extra.join(', ')}. Send "instances" only.`,
    );
  }
  const instances: readonly unknown[] = body['instances'];
  if (instances.length === 0) {
    throw new RequestError(400, 'EMPTY_INSTANCES', '"instances" is empty; ask for at least one forecast.');
  }
  refuseMoreThan(MAX_INSTANCES, instances, 'entries');
  return instances;
}

function refuseMoreThan(limit: number, asked: readonly unknown[], kind: 'entries' | 'totals'): void {
  if (asked.length <= limit) return;
  throw new RequestError(
    413,
    'TOO_MANY_INSTANCES',
    `"instances" holds ${asked.length} ${kind}; a request may hold at most ${limit}.`,
    { limit },
  );
}

function refuseUnknownKeys(instance: JsonObject, known: ReadonlySet<string>, index: number): void {
  const unknown = Object.keys(instance).filter((key) => !known.has(key));
  if (unknown.length === 0) return;
  throw invalidInstance(index, `unknown keys ${unknown.join(', ')}; known are ${[...known].join(', ')}.`);
}

function weeksAhead(instance: JsonObject, index: number, manifest: ModelManifest): number {
  const horizon = wholeNumber(instance, 'horizon', index);
  if (horizon >= 1 && horizon <= manifest.horizonWeeks) return horizon;
  throw new RequestError(
    422,
    'HORIZON_OUT_OF_RANGE',
    `Instance ${index}: horizon ${horizon} is outside 1 to ${manifest.horizonWeeks} weeks, which this model answers.`,
    { instance: index, horizon, maxHorizon: manifest.horizonWeeks },
  );
}

function parseTotal(instance: JsonObject, index: number, manifest: ModelManifest): AskedTotal {
  refuseUnknownKeys(instance, TOTAL_KEYS, index);
  const level = instance['level'];
  if (typeof level !== 'string' || level === '')
    throw invalidInstance(index, `"level" must be the name of a level, but is ${shown(level)}.`);
  if (level === TOTAL_LEVEL && instance['member'] !== undefined)
    throw invalidInstance(index, `the level "${TOTAL_LEVEL}" is of all series and has no "member".`);
  const member = level === TOTAL_LEVEL ? undefined : seriesId(instance, 'member', index);
  const asked = member === undefined ? { index, level } : { index, level, member };
  if (instance['targetWeek'] !== undefined)
    return { ...asked, horizon: undefined, targetDay: targetDay(instance, index) };
  return { ...asked, horizon: weeksAhead(instance, index, manifest) };
}

/** @throws RequestError 400 or 413 for the request as a whole */
export function parseRequest(body: unknown, manifest: ModelManifest): ParsedRequest {
  const known = new Set(manifest.features.map(({ name }) => name));
  const ignored = new Set<string>();
  const parseSeries = (instance: JsonObject, index: number): Instance => {
    refuseUnknownKeys(instance, SERIES_KEYS, index);
    const store = seriesId(instance, 'store', index);
    const dept = seriesId(instance, 'dept', index);
    if (instance['targetWeek'] !== undefined) {
      return { index, store, dept, horizon: undefined, targetDay: targetDay(instance, index) };
    }
    const horizon = weeksAhead(instance, index, manifest);
    if (instance['features'] === undefined) return { index, store, dept, horizon };
    const features = rawFeatures(instance['features'], index, manifest, known, ignored);
    return { index, store, dept, horizon, features };
  };
  const instances: Instance[] = [];
  const totals: AskedTotal[] = [];
  const faults: InstanceFault[] = [];
  instancesOf(body).forEach((instance, index) => {
    try {
      if (!isObject(instance)) throw invalidInstance(index, `must be an object, but is ${shown(instance)}.`);
      if (instance['level'] === undefined) instances.push(parseSeries(instance, index));
      else totals.push(parseTotal(instance, index, manifest));
    } catch (error) {
      faults.push({ instance: index, error: faultOf(error) });
    }
    if (instances.length > 0 && totals.length > 0)
      throw invalidInstance(index, 'a request asks for series or for totals ("level"), not for both.');
  });
  refuseMoreThan(MAX_TOTALS, totals, 'totals');
  return { instances, totals, faults, ignoredFeatures: [...ignored].sort() };
}
