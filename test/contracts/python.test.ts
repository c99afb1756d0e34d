/** Python dataclasses made of schemas: what is written, and what is refused. */
import { expect, test } from 'vitest';
import type { JsonSchema } from '../../scripts/generate/json-schema.ts';
import { pythonModule } from '../../scripts/generate/python.ts';

const moduleOf = (definitions: Record<string, JsonSchema>): string =>
  pythonModule({ description: 'Examples.', definitions: new Map(Object.entries(definitions)), imported: [] });

const objectOf = (properties: Record<string, JsonSchema>): JsonSchema => ({
  type: 'object',
  description: 'An example.',
  properties,
  required: Object.keys(properties),
});

test('an optional key may be absent, a nullable one may not', () => {
  const text = moduleOf({
    Example: {
      ...objectOf({ maxEpochs: { type: 'integer' }, oracleUri: { type: ['string', 'null'] } }),
      required: ['oracleUri'],
    },
  });
  expect(text).toContain('    max_epochs: int | None = None\n');
  expect(text).toContain('    oracle_uri: str | None\n');
});

test('a number has its bounds, unless they are those of every exact integer', () => {
  const text = moduleOf({
    Example: objectOf({
      share: { type: 'number', minimum: 0, maximum: 1 },
      rate: { type: 'number', exclusiveMinimum: 0, maximum: 1 },
      rows: { type: 'integer', minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER },
    }),
  });
  expect(text).toContain('from shelfcast.contracts.wire import Bounds\n');
  expect(text).toContain('    share: Annotated[float, Bounds(0, 1)]\n');
  expect(text).toContain('    rate: Annotated[float, Bounds(0, 1)]\n');
  expect(text).toContain('    rows: int\n');
});

test('a constant is a literal with its type and description', () => {
  const text = pythonModule({
    description: 'Examples.',
    definitions: new Map(),
    constants: {
      SIDES: { type: 'tuple[str, ...]', description: 'Sides.', value: ['left', 'right'] },
      ONE: { type: 'tuple[str, ...]', description: 'One side.', value: ['left'] },
      LABELS: { type: 'dict[str, int]', description: 'Numbers.', value: { left: 1, right: 2 } },
    },
    imported: [],
  });
  expect(text).toContain('#: Sides.\nSIDES: tuple[str, ...] = ("left", "right")\n');
  expect(text).toContain('ONE: tuple[str, ...] = ("left",)\n');
  expect(text).toContain('LABELS: dict[str, int] = {"left": 1, "right": 2}\n');
});

test('keys of a record keep their type', () => {
  const text = moduleOf({
    Side: { type: 'string', enum: ['left', 'right'], description: 'A side.' },
    Example: objectOf({
      errors: {
        type: 'object',
        propertyNames: { $ref: '#/$defs/Side' },
        additionalProperties: { type: 'number' },
      },
    }),
  });
  expect(text).toContain('    errors: dict[Side, float]\n');
});

test('a long description is wrapped and indented below its name', () => {
  const text = moduleOf({
    Example: objectOf({ share: { type: 'number', description: 'word '.repeat(40).trim() } }),
  });
  const lines = text.split('\n').filter((line) => line.includes('word'));
  expect(lines[0]).toMatch(/^ {8}share: word/);
  expect(lines.slice(1).every((line) => /^ {12}word/.test(line) && line.length <= 110)).toBe(true);
  expect(lines.length).toBeGreaterThan(1);
});

test.each<[string, Record<string, JsonSchema>, RegExp]>([
  [
    'a nested object without a name',
    { Example: objectOf({ part: objectOf({}) }) },
    /Example\.part: no Python type/,
  ],
  [
    'a key that snake_case loses',
    { Example: objectOf({ max_epochs: { type: 'integer' } }) },
    /does not convert back/,
  ],
  [
    'a type without a description',
    { Example: { type: 'object', properties: {} } },
    /Example: no description/,
  ],
  [
    'a default that is not a plain value',
    { Example: objectOf({ steps: { type: 'array', items: { type: 'integer' }, default: [1] } }) },
    /no Python literal for \[1\]/,
  ],
])('%s is refused', (_, definitions, message) => {
  expect(() => moduleOf(definitions)).toThrow(message);
});
