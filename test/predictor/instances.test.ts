/** Generated request bodies: the hand-written parser follows contracts/predict.ts and refuses all else in words. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { predictRequestSchema } from '../../contracts/predict.ts';
import { refusalOf, RequestError, toFault } from '../../predictor/errors.ts';
import { parseRequest } from '../../predictor/instances.ts';
import type { ParsedRequest } from '../../predictor/instances.ts';
import { manifestOf } from './model-manifest.ts';

const NAMES = ['lag_1', 'temperature'];
const manifest = manifestOf(NAMES.map((name) => ({ name, view: 'sales_history', column: name })));

/** Rules that follow from the model, about which the wire format says nothing. */
const MODEL_RULES = ['HORIZON_OUT_OF_RANGE', 'MISSING_RAW_FEATURES'];

/** Returns a request in which no instance has a fault. */
function parsed(body: unknown): ParsedRequest {
  const request = parseRequest(body, manifest);
  if (request.faults.length > 0) throw refusalOf(request.faults);
  return request;
}

function verdict(body: unknown): string {
  try {
    parsed(body);
    return 'accepted';
  } catch (error) {
    expect(error).toBeInstanceOf(RequestError);
    const { status, code } = error as RequestError;
    expect(status).toBeLessThan(500);
    return code;
  }
}

const id = fc.oneof(
  { weight: 9, arbitrary: fc.oneof(fc.integer(), fc.string({ unit: 'grapheme', minLength: 1 })) },
  fc.string({ unit: 'binary', maxLength: 120 }),
  fc.string({ unit: fc.constantFrom(' ', '\n', '\u00a0', '\ud800', 'x') }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.jsonValue(),
);
const number = fc.oneof(
  { weight: 9, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) },
  fc.jsonValue(),
);
/** Weeks ahead, within and outside of the model's 12. */
const horizon = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: 13 }) }, fc.integer());
const week = fc.oneof(
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString().slice(0, 10)),
  fc.constantFrom('2012-02-30', '2012-2-3', ' 2012-02-03', '2012-02-03T00:00:00Z', '0000-01-01'),
  fc.jsonValue(),
);
const instance = fc.oneof(
  { weight: 9, arbitrary: fc.record({ store: id, dept: id, horizon }) },
  fc.record({
    store: id,
    dept: fc.integer(),
    horizon,
    features: fc.record({ lag_1: number, temperature: number }, { requiredKeys: ['lag_1'] }),
  }),
  fc.record({ store: fc.integer(), dept: fc.integer(), horizon, extra: fc.jsonValue() }),
  fc.record(
    { store: fc.integer(), dept: fc.integer(), horizon, targetWeek: week, features: fc.constant({}) },
    { requiredKeys: ['store', 'dept', 'targetWeek'] },
  ),
  fc.record(
    { level: fc.constantFrom('total', 'region', ''), member: id, horizon, targetWeek: week },
    { requiredKeys: ['level'] },
  ),
  fc.jsonValue(),
);
const body = fc.oneof(
  { weight: 9, arbitrary: fc.record({ instances: fc.array(instance, { maxLength: 3 }) }) },
  fc.record({ instances: fc.array(instance, { minLength: 1, maxLength: 2 }), extra: fc.jsonValue() }),
  fc.jsonValue(),
);

it('accepts what contracts/predict.ts accepts, but for the rules of the model', () => {
  const verdicts = new Set<string>();
  fc.assert(
    fc.property(body, (value) => {
      const said = verdict(value);
      verdicts.add(said);
      if (MODEL_RULES.includes(said)) return;
      expect(said === 'accepted').toBe(predictRequestSchema.safeParse(value).success);
    }),
    { numRuns: 3_000 },
  );
  expect([...verdicts]).toEqual(expect.arrayContaining(['accepted', 'INVALID_INSTANCE', ...MODEL_RULES]));
});

it('takes 100 totals, and refuses more', () => {
  const totals = (count: number) => ({ instances: new Array(count).fill({ level: 'total', horizon: 1 }) });
  expect(parsed(totals(100)).totals).toHaveLength(100);
  expect(() => parsed(totals(101))).toThrow('"instances" holds 101 totals; a request may hold at most 100.');
});

it.each([
  ['an instance', (nested: string) => `{"instances":[${nested}]}`],
  ['a store', (nested: string) => `{"instances":[{"store":${nested},"dept":1,"horizon":1}]}`],
  ['features', (nested: string) => `{"instances":[{"store":1,"dept":1,"horizon":1,"features":${nested}}]}`],
  [
    'a feature',
    (nested: string) =>
      `{"instances":[{"store":1,"dept":1,"horizon":1,"features":{"lag_1":${nested},"temperature":1}}]}`,
  ],
])('refuses %s of a million nested arrays', (_name, request) => {
  const nested = '['.repeat(1_000_000) + ']'.repeat(1_000_000);
  expect(verdict(JSON.parse(request(nested)))).toBe('INVALID_INSTANCE');
});

it.each([
  ['"CA_1"', '"FOODS 1"'],
  ['" 007 "', '"4006381333931"'],
  ['"18446744073709551615"', '9007199254740991'],
  ['1.0', '1e3'],
  ['-1', '0'],
  ['"__proto__"', '"toString"'],
  ['"Caf\u00e9"', '"Cafe\u0301"'],
])('keeps the ids %s and %s as the request wrote them', (store, dept) => {
  const request = `{"instances":[{"store":${store},"dept":${dept},"horizon":1}]}`;
  const { instances } = parsed(JSON.parse(request));
  expect(JSON.stringify(instances.map(({ store: s, dept: d }) => [s, d]))).toBe(
    JSON.stringify([[JSON.parse(store), JSON.parse(dept)]]),
  );
});

it.each([
  [
    '9007199254740992',
    'is the number 9007199254740992, of which JSON keeps only the first 15 or 16 digits; send the id as a string.',
  ],
  ['18446744073709551615', 'send the id as a string.'],
  ['-1e300', 'send the id as a string.'],
  ['1e999', 'must be a string or a whole number, but is null.'],
  ['1.5', 'must be a string or a whole number, but is 1.5.'],
  ['null', 'must be a string or a whole number, but is null.'],
  ['["CA_1"]', 'must be a string or a whole number, but is ["CA_1"].'],
  ['""', 'must have 1 to 100 characters, and no control characters, but is "".'],
  ['" \\t "', 'but is " \\t ".'],
  ['"CA\\n1"', 'but is "CA\\n1".'],
  ['"\\ud800"', 'but is "\\ud800".'],
])('refuses the id %s', (dept, words) => {
  const request = `{"instances":[{"store":1,"dept":${dept},"horizon":1}]}`;
  expect(() => parsed(JSON.parse(request))).toThrow(
    expect.objectContaining({
      code: 'INVALID_INSTANCE',
      message: expect.stringContaining(words) as string,
    }) as Error,
  );
});

it('refuses an id of a million characters in a short sentence', () => {
  const request = { instances: [{ store: 'x'.repeat(1_000_000), dept: 1, horizon: 1 }] };
  expect(() => parsed(request)).toThrow(/^Instance 0: "store" must have 1 to 100 characters.{1,120}$/);
});

it('names few of the missing features of many instances', () => {
  const names = Array.from({ length: 120 }, (_, i) => `feature_${i}`);
  const wide = manifestOf(names.map((name) => ({ name, view: 'sales_history', column: name })));
  const asked = Array.from({ length: 1000 }, () => ({ store: 1, dept: 1, horizon: 1, features: {} }));
  const { faults } = parseRequest({ instances: asked }, wide);
  const listed = faults.map(toFault);
  expect(listed[1]?.message).toBe(
    `Instance 1: "features" lacks ${names.slice(0, 10).join(', ')} and 110 more; send null where a value is unknown.`,
  );
  expect(listed[1]?.['features']).toEqual(names.slice(0, 10));
  expect(JSON.stringify(listed).length / asked.length).toBeLessThan(500);
  // A refusal of one instance has all names.
  expect(faults[0]?.error.details['features']).toEqual(names);
});
