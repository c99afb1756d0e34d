import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ERROR_TYPES } from '../../contracts/errors.ts';
import { DEFAULT_MODEL_NAME } from '../../contracts/names.ts';
import type { PipelineInput, ResolvedPipelineInput } from '../../contracts/pipeline.ts';
import { resolvePipelineInput } from '../../contracts/pipeline.ts';
import { inputOf } from '../../cli/run-input.ts';

function resolved(raw: unknown): ResolvedPipelineInput {
  const answer = resolvePipelineInput(raw);
  if ('input' in answer) return answer.input;
  throw new Error(answer.issues.join('; '));
}
const issuesOf = (raw: unknown): string[] => {
  const answer = resolvePipelineInput(raw);
  return 'issues' in answer ? answer.issues : [];
};

describe('defaults', () => {
  test.each([[undefined], [null], [{}]])('%o is a whole pipeline of generated sales', (raw) => {
    expect(resolved(raw)).toEqual({
      modelName: DEFAULT_MODEL_NAME,
      dataset: 'generated',
      source: { kind: 'generated', stores: 45, departments: 14, weeks: 104, seed: 7 },
      maxBadRowShare: 0.01,
      horizonWeeks: 8,
      testWeeks: 8,
      validationWeeks: 8,
      train: {
        preset: 'global',
        processes: 2,
        maxEpochs: 12,
        batchSize: 1_024,
        learningRate: 0.002,
        seed: 7,
      },
      gate: {
        minImprovementOverBaselines: 0,
        maxRegressionAgainstChampion: 0.02,
        maxRegressionInSlice: 0.1,
        coverage80: [0.65, 0.95],
        onInconclusive: 'pass',
      },
      rollout: {
        stepsPercent: [10, 50, 100],
        minRequestsPerStep: 40,
        minComparedPerStep: 200,
        maxErrorRate: 0.01,
        maxRegression: 0.1,
        readyWithinSeconds: 300,
        approval: 'automatic',
      },
    });
  });

  test('one value given leaves its neighbours at their defaults', () => {
    const input = resolved({ train: { maxEpochs: 2 }, source: { kind: 'generated', stores: 3 } });
    expect(input.train).toEqual({ ...resolved({}).train, maxEpochs: 2 });
    expect(input.source).toEqual({ kind: 'generated', stores: 3, departments: 14, weeks: 104, seed: 7 });
  });

  test('a resolved input resolves to itself', () => {
    const input = resolved({ horizonWeeks: 4, source: { kind: 'walmart-csv', path: '/data/walmart' } });
    expect(resolved(input)).toEqual(input);
  });
});

const promo = { name: 'promo', of: 'store_week', knownAfterWeeks: -4, description: 'planned promotion' };
const withColumn = (change: object) => ({
  source: { kind: 'long', path: '/sales', columns: [{ ...promo, ...change }] },
});

describe('an invalid value', () => {
  test.each<[unknown, RegExp]>([
    [{ horizonWeeks: 40 }, /^horizonWeeks: .*39/],
    [{ horizonWeeks: 0 }, /^horizonWeeks: .*1/],
    [{ horizonWeeks: 1.5 }, /^horizonWeeks: .*int/],
    [{ horizonWeeks: '8' }, /^horizonWeeks: .*number/],
    [{ train: { processes: 0 } }, /^train\.processes: /],
    [{ gate: { coverage80: [0.5] } }, /^gate\.coverage80: /],
    [{ gate: { coverage80: [0.5, 1.5] } }, /^gate\.coverage80\.1: /],
    [{ rollout: { stepsPercent: [50, 10, 100] } }, /^rollout\.stepsPercent: must grow$/],
    [{ rollout: { stepsPercent: [10, 50] } }, /^rollout\.stepsPercent: must end with 100$/],
    [{ rollout: { stepsPercent: [0, 100] } }, /^rollout\.stepsPercent\.0: /],
    [{ modelName: 'My Model' }, /^modelName: must be lower-case letters, digits and dashes$/],
    [{ dataset: 'My-Data' }, /^dataset: must be at most 32 lower-case letters, digits and underscores$/],
    [{ dataset: 'a'.repeat(41) }, /^dataset: must be/],
    [{ source: { kind: 'generated', weeks: 59 } }, /^source\.weeks: .*60/],
    [{ source: { kind: 'walmart-csv', path: 'walmart' } }, /^source\.path: must be an absolute path$/],
    [{ source: { kind: 'excel' } }, /^source\.kind: /],
    [
      { source: { kind: 'long', path: 'ftp://host/sales' } },
      /^source\.path: must be an absolute path or an http/,
    ],
    [{ source: { kind: 'long', path: '/sales', encoding: 'utf-16' } }, /^source\.encoding: /],
    [
      { dataset: 'own', source: { kind: 'long', path: 'week.csv' } },
      /^source\.path: must be an absolute path/,
    ],
    [withColumn({ name: 'Promo' }), /^source\.columns\.0\.name: must be at most 40 lower-case letters/],
    [withColumn({ of: 'shop' }), /^source\.columns\.0\.of: .*'series_week' \| 'store_week' \| 'store'/],
    [withColumn({ knownAfterWeeks: undefined }), /^source\.columns\.0\.knownAfterWeeks: .*number/],
    [withColumn({ knownAfterWeeks: -53 }), /^source\.columns\.0\.knownAfterWeeks: .*-52/],
    [withColumn({ of: 'store' }), /^source\.columns\.0: .*knownAfterWeeks/],
    [withColumn({ description: '' }), /^source\.columns\.0\.description: /],
    [
      { source: { ...withColumn({}).source, declaration: { covariates: [] } } },
      /^source: columns and declaration\.covariates both declare covariates; keep one of them$/,
    ],
    [
      {
        dataset: 'own',
        source: { kind: 'postgres', addressVariable: 'postgresql://me:secret@host', sales: 'select' },
      },
      /^source\.addressVariable: must be the name of an environment variable$/,
    ],
    ...[
      'https://me:secret@host/sales',
      'https://me:se/cret@host/sales',
      'https://me:se#cret@host/sales',
      'https://me:7/cret@host/sales',
      'https://[me:secret/sales',
      'https://host/sales?key=secret',
      'https://host/sales#key=secret',
      's3://key:secret@bucket/sales',
      's3://key:se/cret@bucket/sales',
      's3://key:7/sales',
    ].map((path): [unknown, RegExp] => [
      { source: { kind: 'long', path } },
      /^source\.path: has a user, a password, a query, [^@]*name that in addressVariable instead$/,
    ]),
    [{ dataset: 'own', source: { kind: 'long' } }, /^source: give either path or addressVariable$/],
    [
      { source: { kind: 'long', path: '/data/sales', addressVariable: 'SALES_URL' } },
      /^source: give either path or addressVariable$/,
    ],
    [{ allow: ['Future Week'] }, /^allow\.0: must be the name of a rule$/],
    [{ horizonWeek: 8 }, /^the input: .*horizonWeek/],
    [{ train: { epochs: 8 } }, /^train: .*epochs/],
    [7, /^the input: /],
    [[], /^the input: /],
  ])('%j is a sentence that begins with its path', (raw, sentence) => {
    const issues = issuesOf(raw);
    expect(issues).toHaveLength(1);
    expect(issues[0]).toMatch(sentence);
  });

  test('each has its own sentence', () => {
    const issues = issuesOf({ horizonWeeks: 0, train: { seed: -1 }, maxBadRowShare: 2 });
    expect(issues.map((issue) => issue.split(':')[0])).toEqual([
      'maxBadRowShare',
      'horizonWeeks',
      'train.seed',
    ]);
  });
});

describe('the data set', () => {
  const datasetOf = (path: string) => resolved({ source: { kind: 'walmart-csv', path } }).dataset;

  test.each([
    ['/data/walmart', 'walmart'],
    ['/data/walmart/', 'walmart'],
    ['/data/Our Sales (2025)', 'our_sales_2025'],
    ['/data/2025-sales', 'sales'],
    ['/data/__x__', 'x'],
    [`/data/${'long'.repeat(20)}`, 'long'.repeat(8)],
  ])('of %s is %s', (path, dataset) => {
    expect(datasetOf(path)).toBe(dataset);
    // A name made from a folder is one that a person may write.
    expect(resolved({ dataset, source: { kind: 'walmart-csv', path } }).dataset).toBe(dataset);
  });

  test.each(['/', '/data/2025', '/data/売上'])('cannot be made from %s', (path) => {
    expect(issuesOf({ source: { kind: 'walmart-csv', path } })).toEqual([
      'dataset: the folder in source.path has no letter from a to z in its name: set it in the input or with --dataset',
    ]);
    expect(resolved({ dataset: 'ours', source: { kind: 'walmart-csv', path } }).dataset).toBe('ours');
  });

  test('of a URL is its last part; queries have no name', () => {
    const url = 's3://bucket/Our Sales/?region=eu-central-1';
    expect(resolved({ source: { kind: 'long', path: url } }).dataset).toBe('our_sales');
    const source = { kind: 'postgres', addressVariable: 'SALES_URL', sales: 'select 1' };
    expect(issuesOf({ source })).toEqual([
      'dataset: queries do not name their data set: set it in the input or with --dataset',
    ]);
    expect(resolved({ dataset: 'ours', source })).toMatchObject({ dataset: 'ours', source });
    const variable = { kind: 'long', addressVariable: 'SALES_URL' };
    expect(issuesOf({ source: variable })).toEqual([
      'dataset: a variable does not name its data set: set it in the input or with --dataset',
    ]);
    expect(resolved({ dataset: 'ours', source: variable })).toMatchObject({ source: variable });
  });

  test.each([
    '/data/week.csv',
    '/data/#1:a@b/Week 7.Parquet',
    's3://b/sales/week.csv?region=eu',
    'https://host/a@b/Week 7.csv',
    'http://[::1]:8080/week.csv',
  ])('of the file %s must be named', (path) => {
    const source = { kind: 'long', path };
    expect(issuesOf({ source })).toEqual([
      'dataset: a file of new weeks does not name its data set: set it in the input or with --dataset',
    ]);
    expect(resolved({ dataset: 'ours', source }).dataset).toBe('ours');
  });

  test('declares covariates for files and for queries', () => {
    const columns = [promo, { name: 'parking', of: 'store', description: 'spaces' }];
    const files = { kind: 'long', path: '/data/sales', columns };
    expect(resolved({ source: files }).source).toEqual({ ...files, encoding: 'utf-8' });
    const queries = { kind: 'postgres', addressVariable: 'URL', sales: 'a', seriesWeeks: 'b', columns };
    expect(resolved({ dataset: 'ours', source: queries }).source).toEqual(queries);
  });

  test('"generated" is reserved for generated sales, given or taken from a folder', () => {
    const refusal = ['dataset: "generated" is reserved for generated sales; choose another name'];
    const source = { kind: 'walmart-csv', path: '/data/walmart' };
    expect(issuesOf({ dataset: 'generated', source })).toEqual(refusal);
    expect(issuesOf({ source: { ...source, path: '/data/Generated' } })).toEqual(refusal);
    expect(resolved({ dataset: 'generated' }).dataset).toBe('generated');
    expect(resolved({ dataset: 'trial' })).toMatchObject({ dataset: 'trial', source: { kind: 'generated' } });
  });
});

describe('options of the command line', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'shelfcast-input-'));
    mkdirSync(join(folder, 'Own Sales'));
    writeFileSync(
      join(folder, 'input.json'),
      JSON.stringify({ modelName: 'from-file', horizonWeeks: 4, rollout: { maxRegression: 0.5 } }),
    );
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  const file = () => join(folder, 'input.json');
  const own = () => join(folder, 'Own Sales');
  const refusal = (options: Parameters<typeof inputOf>[0]): unknown => {
    try {
      return inputOf(options);
    } catch (error) {
      return error;
    }
  };

  test('without options every value keeps its default', () => {
    expect(inputOf({})).toEqual({});
    expect(inputOf({ approval: false })).toEqual({});
  });

  test("--data is a folder of CSV files, whose name is the data set's", () => {
    const input = inputOf({ data: own() });
    expect(input).toEqual({ source: { kind: 'walmart-csv', path: own() } });
    expect(resolved(input).dataset).toBe('own_sales');
    expect(resolved(inputOf({ data: own(), dataset: 'mine' })).dataset).toBe('mine');
  });

  test('--data finds the layout by the files; a URL has the long layout', () => {
    const long = join(folder, 'long');
    mkdirSync(long);
    writeFileSync(join(long, 'sales.parquet'), '');
    expect(inputOf({ data: long })).toEqual({ source: { kind: 'long', path: long } });
    const compressed = join(folder, 'compressed');
    mkdirSync(compressed);
    writeFileSync(join(compressed, 'SALES.CSV.gz'), '');
    expect(inputOf({ data: compressed })).toEqual({ source: { kind: 'long', path: compressed } });
    const workbook = join(folder, 'Sales.XLSX');
    writeFileSync(workbook, '');
    expect(inputOf({ data: workbook, dataset: 'shop', sheet: 'Umsatz' })).toEqual({
      dataset: 'shop',
      source: { kind: 'long', path: workbook, declaration: { sheet: 'Umsatz' } },
    });
    const other = join(folder, 'other');
    mkdirSync(other);
    writeFileSync(join(other, 'sales.old.csv'), '');
    expect(inputOf({ data: other }).source).toEqual({ kind: 'walmart-csv', path: other });
    expect(inputOf({ data: 'https://host/sales' })).toEqual({
      source: { kind: 'long', path: 'https://host/sales' },
    });
    writeFileSync(join(long, 'train.csv'), '');
    expect(refusal({ data: long })).toMatchObject({
      type: ERROR_TYPES.invalidInput,
      message: expect.stringMatching(
        /^\/.*train\.csv of the Walmart layout and sales of the long layout/,
      ) as string,
    });
  });

  test.each([
    ['DE', { country: 'DE' }],
    ['DE-BY', { country: 'DE', region: 'BY' }],
    ['US-CA', { country: 'US', region: 'CA' }],
  ])('--holidays %s chooses a calendar', (holidays, expected) => {
    const url = 'https://host/sales';
    expect(inputOf({ data: url, holidays }).source).toMatchObject({ declaration: { holidays: expected } });
  });

  test('flags declare the columns; they win over --declaration and over --input', () => {
    const file = join(folder, 'declaration.json');
    writeFileSync(file, JSON.stringify({ columns: { week: 'day', sales: 'sold' }, ignore: ['a'] }));
    const flags = { column: ['week=date', 'store=country, shop'], ignore: ['row_id', 'note'] };
    const url = 'https://host/sales';
    const columns = { week: 'date', store: ['country', 'shop'] };
    expect(inputOf({ data: url, ...flags }).source).toEqual({
      kind: 'long',
      path: url,
      declaration: { columns, ignore: ['row_id', 'note'] },
    });
    expect(inputOf({ data: url, ...flags, declaration: file }).source).toMatchObject({
      declaration: { columns: { ...columns, sales: 'sold' }, ignore: ['row_id', 'note'] },
    });
    const source = { kind: 'postgres', addressVariable: 'URL', sales: 'a', declaration: { ignore: ['b'] } };
    const input = JSON.stringify({ dataset: 'shop', source });
    expect(inputOf({ input, column: flags.column }).source).toEqual({
      ...source,
      declaration: { columns, ignore: ['b'] },
    });
    expect(inputOf({ input }).source).toEqual(source);
    const days = {
      sum: 'days',
      weekEnds: 'Friday',
      timeZone: 'Asia/Kolkata',
      decimal: ',',
      dateFormat: 'DD.MM.YYYY',
      missingWeeks: 'zero',
    };
    expect(inputOf({ data: url, ...days }).source).toMatchObject({ declaration: days });
    const groups = { level: ['region=stores.region', 'kind=items.kind'], total: ['dept=All', 'dept=99'] };
    const levels = { region: 'stores.region', kind: 'items.kind' };
    expect(inputOf({ data: url, ...groups }).source).toMatchObject({
      declaration: { levels, totals: { dept: ['All', '99'] } },
    });
    const earlier = '{"levels": {"region": "stores.area", "format": "stores.type"}}';
    expect(inputOf({ data: url, ...groups, declaration: earlier }).source).toMatchObject({
      declaration: { levels: { ...levels, format: 'stores.type' } },
    });
    // A declaration is for the long layout, whatever the names of the files.
    expect(inputOf({ data: own(), column: ['week=date'] }).source).toMatchObject({ kind: 'long' });
    writeFileSync(join(own(), 'shelfcast.json'), '{}');
    expect(inputOf({ data: own() }).source).toEqual({ kind: 'long', path: own() });
    rmSync(join(own(), 'shelfcast.json'));
  });

  test.each([
    [{ column: ['week'] }, '--column is week; write role=column'],
    [{ column: ['day=date'] }, 'invalid declaration: columns: Unrecognized key: "day"'],
    [{ level: ['region'] }, '--level is region; write name=column'],
    [{ level: ['region=sales.region'] }, 'invalid declaration: levels.region: must be a column of stores or'],
    [{ total: ['All'] }, '--total is All; write store=id or dept=id'],
    [{ weekEnds: 'friday' }, 'invalid declaration: weekEnds: '],
    [{ column: ['week=date,day'] }, 'invalid declaration: columns.week: '],
    [{ declaration: '/nowhere.json' }, '--declaration is neither JSON nor the path of a JSON file'],
  ])('%j is refused', (options, sentence) => {
    expect(refusal({ data: 'https://host/sales', ...options })).toMatchObject({
      type: ERROR_TYPES.invalidInput,
      message: expect.stringContaining(sentence) as string,
    });
  });

  test.each<[Parameters<typeof inputOf>[0], string]>([
    [{ sum: 'days' }, '--sum: there are no columns to declare'],
    [{ column: ['week=date'], weekEnds: 'Friday' }, '--column, --week-ends: '],
    [{ declaration: '{"decimal": ","}' }, '--declaration: '],
    [{ holidays: 'DE', input: '{"horizonWeeks": 4}' }, '--holidays: '],
  ])('%j declares nothing without sales, and is refused', (options, sentence) => {
    expect(refusal(options)).toMatchObject({
      type: ERROR_TYPES.invalidInput,
      message: expect.stringContaining(sentence) as string,
    });
  });

  test('--data is one file of sales when the data set is given', () => {
    const week = join(folder, 'week.CSV');
    writeFileSync(week, '');
    const input = inputOf({ data: week, dataset: 'mine' });
    expect(input).toEqual({ dataset: 'mine', source: { kind: 'long', path: week } });
    expect(refusal({ data: week })).toMatchObject({
      message:
        'invalid input: dataset: a file of new weeks does not name its data set: set it in the input or with --dataset',
    });
    const url = 'https://host/week.csv';
    expect(inputOf({ data: url, dataset: 'mine' }).source).toEqual({ kind: 'long', path: url });
  });

  test('--input is JSON or a file with it', () => {
    const expected: PipelineInput = {
      modelName: 'from-file',
      horizonWeeks: 4,
      rollout: { maxRegression: 0.5 },
    };
    expect(inputOf({ input: file() })).toEqual(expected);
    expect(inputOf({ input: `  ${JSON.stringify(expected)}` })).toEqual(expected);
  });

  test('other options override their values in --input and keep the rest', () => {
    expect(inputOf({ input: file(), model: 'mine', approval: true, data: own() })).toEqual({
      modelName: 'mine',
      horizonWeeks: 4,
      rollout: { maxRegression: 0.5, approval: 'required' },
      source: { kind: 'walmart-csv', path: own() },
    });
  });

  test.each<[string, () => Parameters<typeof inputOf>[0], RegExp]>([
    [
      'a folder that is not there',
      () => ({ data: join(folder, 'none') }),
      /^\/.*none is neither a folder nor a file of sales \(\.csv, \.csv\.gz, .*\.xlsx or \.xlsm\); save another workbook as \.xlsx$/,
    ],
    ['a file of another kind', () => ({ data: file() }), /^\/.*input\.json is neither a folder nor a file/],
    [
      'a file that is not there',
      () => ({ input: join(folder, 'none') }),
      /^--input is neither JSON nor the path of a JSON file.*ENOENT/,
    ],
    [
      'torn JSON',
      () => ({ input: '{"horizonWeeks": ' }),
      /^--input is neither JSON nor the path of a JSON file: .*JSON/,
    ],
    ['a wrong value', () => ({ input: '{"horizonWeeks": 0}' }), /^invalid input: horizonWeeks: /],
    ['two', () => ({ input: '{"testWeeks": 0, "x": 1}' }), /^invalid input: testWeeks: .*; the input: .*x/],
    ['a wrong name', () => ({ model: 'My Model' }), /^invalid input: modelName: must be lower-case/],
    [
      "the generator's name for own data",
      () => ({ data: own(), dataset: 'generated' }),
      /^invalid input: dataset: "gen/,
    ],
  ])('%s is one sentence', (_name, options, sentence) => {
    const error = refusal(options());
    expect(error).toMatchObject({ name: 'ShelfcastError', type: ERROR_TYPES.invalidInput });
    expect((error as Error).message).toMatch(sentence);
  });

  test('a file that holds no object is refused', () => {
    const list = join(folder, 'list.json');
    writeFileSync(list, '[]');
    expect(refusal({ input: list })).toMatchObject({
      type: ERROR_TYPES.invalidInput,
      message: '--input must be a JSON object, for example {"horizonWeeks": 4}',
    });
  });
});
