/** Ids of stores and departments: how they are written, and which are whole numbers. */
import { describe, expect, test } from 'vitest';
import { normalId, seriesIdSchema, shownId, wholeNumberOf } from '../../contracts/series-id.ts';

describe('normalId', () => {
  test.each([
    ['CA_1', 'CA_1'],
    [' CA_1\t', 'CA_1'],
    ['007', '007'],
    ['FOODS 1', 'FOODS 1'],
    ['Cafe\u0301', 'Café'],
    ['７', '７'],
    ['🍎'.repeat(100), '🍎'.repeat(100)],
    ['x'.repeat(100), 'x'.repeat(100)],
    ['__proto__', '__proto__'],
  ])('of %j is %j', (written, id) => {
    expect(normalId(written)).toBe(id);
  });

  test.each([
    ['nothing', ''],
    ['white space', ' \u00a0\t'],
    ['a line break', 'CA\n1'],
    ['a separator of lines', 'CA\u20281'],
    ['a separator of paragraphs', 'CA\u20291'],
    ['a zero byte', 'CA\u0000'],
    ['a control character of Latin 1', 'CA\u00851'],
    ['half of a surrogate pair', 'CA\ud83c'],
    ['101 characters', 'x'.repeat(101)],
    ['101 apples', '🍎'.repeat(101)],
    ['a million characters', 'é'.repeat(1_000_000)],
  ])('of %s is none', (_name, written) => {
    expect(normalId(written)).toBeUndefined();
  });
});

test.each([
  ['0', 0],
  ['7', 7],
  ['4006381333931', 4_006_381_333_931],
  ['-5', -5],
  ['9007199254740991', 2 ** 53 - 1],
  ['9007199254740992', undefined],
  ['18446744073709551615', undefined],
  ['007', undefined],
  ['-0', undefined],
  ['1.0', undefined],
  ['1e3', undefined],
  ['0x10', undefined],
  ['+1', undefined],
  [' 1', undefined],
  ['', undefined],
  ['７', undefined],
  ['Infinity', undefined],
])('the whole number of the text %j is %s', (id, number) => {
  expect(wholeNumberOf(id)).toBe(number);
});

test('a sentence shows numbers as they are, and text as it is looked up, quoted and escaped', () => {
  expect([12, ' CA_1 ', 'say "A"', 'a\nb'].map(shownId)).toEqual([
    '12',
    '"CA_1"',
    '"say \\"A\\""',
    '"a\\nb"',
  ]);
});

test('a request has a whole number or an id, and is told what an id may be', () => {
  for (const id of [12, -1, 'CA_1', ' CA_1 ']) expect(seriesIdSchema.parse(id)).toBe(id);
  for (const id of ['', 'a\nb', 1.5, null]) expect(seriesIdSchema.safeParse(id).success).toBe(false);
  expect(seriesIdSchema.safeParse('x'.repeat(101)).error?.issues[0]?.message).toBe(
    'must have 1 to 100 characters, and no control characters',
  );
});
