/** Generated request bodies: the hand-written parser follows contracts/predict.ts and refuses all else in words. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { predictRequestSchema } from '../../contracts/predict.ts';
import { RequestError } from '../../predictor/errors.ts';
import { parseRequest } from '../../predictor/instances.ts';
import { manifestOf } from './model-manifest.ts';

const NAMES = ['lag_1', 'temperature'];
const manifest = manifestOf(NAMES.map((name) => ({ name, view: 'sales_history', column: name })));

/** Rules that follow from the model, about which the wire format says nothing. */
const MODEL_RULES = ['HORIZON_OUT_OF_RANGE', 'MISSING_RAW_FEATURES'];

function verdict(body: unknown): string {
  try {
    parseRequest(body, manifest);
    return 'accepted';
  } catch (error) {
    expect(error).toBeInstanceOf(RequestError);
    const { status, code } = error as RequestError;
    expect(status).toBeLessThan(500);
    return code;
  }
}

const wholeNumber = fc.oneof(
  { weight: 9, arbitrary: fc.integer() },
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.jsonValue(),
);
const number = fc.oneof(
  { weight: 9, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) },
  fc.jsonValue(),
);
/** Weeks ahead, within and outside of the model's 12. */
const horizon = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: 13 }) }, fc.integer());
const instance = fc.oneof(
  { weight: 9, arbitrary: fc.record({ store: wholeNumber, dept: wholeNumber, horizon }) },
  fc.record({
    store: fc.integer(),
    dept: fc.integer(),
    horizon,
    features: fc.record({ lag_1: number, temperature: number }, { requiredKeys: ['lag_1'] }),
  }),
  fc.record({ store: fc.integer(), dept: fc.integer(), horizon, extra: fc.jsonValue() }),
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
