/** The bytes that Feast's Python SDK makes are the bytes that the predictor makes and reads. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeEntityKey } from '../../predictor/entity-key.ts';
import { decodeFeastValue } from '../../predictor/feast-value.ts';
import type { FeastScalar } from '../../predictor/feast-value.ts';
import { removeFolder, scratchFolder } from './processes.ts';
import { writeGoldenValues } from './python.ts';

interface Golden {
  values: { hex: string; means: string }[];
  entityKeys: { entity: Record<string, string | { int64: string }>; hex: string }[];
  list: string;
}

let golden: Golden;
let folder: string;

beforeAll(async () => {
  folder = await scratchFolder();
  const path = join(folder, 'golden.json');
  await writeGoldenValues(path);
  golden = JSON.parse(await readFile(path, 'utf8')) as Golden;
}, 60_000);

afterAll(() => removeFolder(folder));

function meaning(text: string): FeastScalar {
  if (text.startsWith('text:')) return text.slice('text:'.length);
  switch (text) {
    case 'null':
      return null;
    case 'true':
    case 'false':
      return text === 'true';
    case 'nan':
      return NaN;
    case 'inf':
      return Infinity;
    case '-inf':
      return -Infinity;
    default:
      return Number(text);
  }
}

describe('values', () => {
  it('decodes each random value as Feast meant it', () => {
    expect(golden.values.length).toBe(2_000);
    for (const { hex, means } of golden.values) {
      expect(decodeFeastValue(Buffer.from(hex, 'hex')), `${hex} means ${means}`).toBe(meaning(means));
    }
  });

  it('decodes a value in the middle of a buffer', () => {
    const value = Buffer.from(
      golden.values.find(({ means }) => means.startsWith('text:店'))?.hex ?? '',
      'hex',
    );
    const around = Buffer.concat([Buffer.from([0x21, 1]), value, Buffer.from([0x29, 9])]);
    expect(decodeFeastValue(around, 2, 2 + value.length)).toBe('店舗');
  });

  it('refuses a list, and bytes that end early', () => {
    expect(() => decodeFeastValue(Buffer.from(golden.list, 'hex'))).toThrow('not a scalar');
    expect(() => decodeFeastValue(Buffer.from('2900', 'hex'))).toThrow('ends 7 bytes early');
    expect(() => decodeFeastValue(Buffer.from('20ff', 'hex'))).toThrow('inside a varint');
    expect(() => decodeFeastValue(Buffer.from('20ffffffffffffffffffffff01', 'hex'))).toThrow('longer than');
    expect(() => decodeFeastValue(Buffer.from('120a41', 'hex'))).toThrow('early');
  });
});

describe('entity keys', () => {
  it('encodes each random entity to the bytes of Feast', () => {
    expect(golden.entityKeys.length).toBe(2_000);
    for (const { entity, hex } of golden.entityKeys) {
      const values = Object.entries(entity).map(([name, value]) => [
        name,
        typeof value === 'string' ? value : BigInt(value.int64),
      ]);
      const encoded = encodeEntityKey(Object.fromEntries(values) as Record<string, string | bigint>);
      expect(encoded.toString('hex'), JSON.stringify(entity)).toBe(hex);
    }
  });

  it('takes plain numbers and refuses fractions', () => {
    expect(encodeEntityKey({ store: -5, dept: 7 })).toEqual(encodeEntityKey({ dept: 7n, store: -5n }));
    expect(() => encodeEntityKey({ store: 1.5 })).toThrow(RangeError);
  });
});
