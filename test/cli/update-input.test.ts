import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ERROR_TYPES } from '../../contracts/errors.ts';
import { resolveUpdateInput } from '../../contracts/update.ts';
import { inputOf, updateInputOf } from '../../cli/run-input.ts';

describe('the input of an update', () => {
  let folder: string;
  let file: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'shelfcast-input-'));
    file = join(folder, 'week.csv');
    writeFileSync(file, 'store,dept,week,sales\n');
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  test('is a file of sales, whose data set is left for the champion to say', () => {
    const input = updateInputOf({ data: file, model: 'bread' });
    expect(input).toEqual({ modelName: 'bread', source: { kind: 'long', path: file } });
    expect(resolveUpdateInput(input)).toEqual({
      update: {
        modelName: 'bread',
        source: { kind: 'long', path: file, encoding: 'utf-8' },
        maxBadRowShare: 0.01,
      },
    });
  });

  test.each<[object, string]>([
    [{}, 'source: an update has no default; give the new weeks with --data'],
    [{ input: '{"horizonWeeks": 3}' }, 'source: an update has no default; give the new weeks with --data'],
    [{ data: 'https://host/sales', input: '{"horizonWeeks": 3}' }, 'Unrecognized key: "horizonWeeks"'],
    [{ data: 'https://host/sales', approval: true }, 'Unrecognized key: "rollout"'],
    [{ data: 'https://host/sales', dataset: 'A B' }, 'dataset: must be at most 32 lower-case letters'],
    [{ data: 'https://host/sales', allow: ['Row Count'] }, 'allow.0: must be the name of a rule'],
    [{ data: 'https://host/sales', acknowledge: 'yes' }, 'acknowledge: must be the key in the message'],
  ])('%j is refused', (options, sentence) => {
    let failure: unknown = null;
    try {
      updateInputOf(options);
    } catch (error) {
      failure = error;
    }
    expect(failure).toMatchObject({ type: ERROR_TYPES.invalidInput });
    expect((failure as Error).message).toContain(sentence);
  });

  test('--allow names the rules of this load, for updates and pipelines alike', () => {
    const allow = ['row-count-change', 'mean-sales-change'];
    const input = '{"allow": ["future-week"]}';
    expect(updateInputOf({ data: file, allow, input })).toMatchObject({ allow });
    expect(inputOf({ data: file, dataset: 'shop', allow, input })).toMatchObject({ allow });
    expect(inputOf({ data: file, dataset: 'shop', input })).toMatchObject({ allow: ['future-week'] });
  });
});
