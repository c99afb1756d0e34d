/** Sources of sales, and the default name of a data set. */
import { z } from 'zod';
import { covariates, declarationSchema } from './declaration.ts';

export const generatedSource = z
  .strictObject({
    kind: z.literal('generated').describe('Kind of the source.'),
    stores: z.int().min(1).max(10_000).default(45).describe('Number of stores.'),
    departments: z.int().min(1).max(98).default(14).describe('Number of departments.'),
    weeks: z.int().min(60).max(1_040).default(104).describe('Number of weeks of sales.'),
    seed: z.int().min(0).default(7).describe('Seed of the generator.'),
  })
  .meta({ id: 'GeneratedSource', description: 'Sales made by the generator.' });

const URL_START = '(https?|s3)://.';

/** Whether a source is a URL, not a path. */
export const isUrl = (source: string): boolean => new RegExp(`^${URL_START}`).test(source);

const walmartSource = z
  .strictObject({
    kind: z.literal('walmart-csv').describe('Kind of the source.'),
    path: z
      .string()
      .startsWith('/', 'must be an absolute path')
      .describe('Absolute path of a folder with train.csv, features.csv and stores.csv.'),
  })
  .meta({ id: 'WalmartSource', description: 'A folder in the layout of the Walmart competition.' });

const declaration = declarationSchema.optional();

/** Whether covariates are declared in at most one place; a second list would be ignored. */
const hasOneListOfCovariates = (source: {
  columns?: unknown;
  declaration?: { covariates?: unknown } | undefined;
}): boolean => source.columns === undefined || source.declaration?.covariates === undefined;
const TWO_LISTS = 'columns and declaration.covariates both declare covariates; keep one of them';

/** Name of a variable, whose value reaches the ingest job alone: an input is kept in the history of its run. */
const addressVariable = z.string().regex(/^[A-Z][A-Z0-9_]*$/, 'must be the name of an environment variable');

/** URL whose authority is a host, perhaps with a port, or a bucket; of S3 it may have a query. */
const PLAIN_URL =
  /^(https?:\/\/(\[[\da-f:.]+\]|[^/?#@:[\]\s]+)(:\d+(?!.*@))?(\/[^?#]*)?|s3:\/\/[^/?#@:\s]+([/?][^#]*)?)$/s;

/** Whether a source is a path, or a URL in which nothing may be a secret. */
const tellsNoSecret = (path: string): boolean => !isUrl(path) || PLAIN_URL.test(path);

const longSource = z
  .strictObject({
    kind: z.literal('long').describe('Kind of the source.'),
    path: z
      .string()
      .regex(new RegExp(`^(/|${URL_START})`), 'must be an absolute path or an http, https or s3 URL')
      .refine(
        tellsNoSecret,
        "has a user, a password, a query, a fragment or no readable host, which may be a secret and would stay in the run's history; put the whole URL into an environment variable of the jobs, and name that in addressVariable instead",
      )
      .optional()
      .describe(
        'Absolute path or URL of a folder with sales.csv, sales.parquet or sales.xlsx, or of a single file of sales.',
      ),
    addressVariable: addressVariable
      .optional()
      .describe('Environment variable of the job that holds the URL instead; for a URL with a secret.'),
    encoding: z
      .enum(['utf-8', 'latin-1'])
      .default('utf-8')
      .describe(
        'Encoding of CSV files without a byte order mark; with `utf-8`, a file that is not UTF-8 is read as Windows-1252 and the report says so.',
      ),
    columns: covariates.optional().describe("Covariates; they replace the folder's columns.json."),
    declaration: declaration.describe("Meaning of the columns; it replaces the folder's shelfcast.json."),
  })
  .refine(hasOneListOfCovariates, TWO_LISTS)
  .refine(
    ({ path, addressVariable }) => (path === undefined) !== (addressVariable === undefined),
    'give either path or addressVariable',
  )
  .meta({ id: 'LongSource', description: 'Files in the long layout (docs/data.md).' });

const postgresSource = z
  .strictObject({
    kind: z.literal('postgres').describe('Kind of the source.'),
    addressVariable: addressVariable.describe(
      "Environment variable of the job that holds the database's address; " +
        "the address itself would stay in the run's history.",
    ),
    sales: z.string().min(1).describe('Query for the rows of sales.'),
    seriesWeeks: z.string().min(1).optional().describe('Query for the covariates of series and week.'),
    storeWeeks: z.string().min(1).optional().describe('Query for the covariates of store and week.'),
    stores: z.string().min(1).optional().describe('Query for the stores and their static covariates.'),
    items: z
      .string()
      .min(1)
      .optional()
      .describe('Query for the departments and their levels; read where a level names it.'),
    events: z.string().min(1).optional().describe('Query for all named events, past and future.'),
    columns: covariates.optional().describe('Covariates among the columns of the queries.'),
    declaration: declaration.describe('Meaning of the columns of the queries.'),
  })
  .refine(hasOneListOfCovariates, TWO_LISTS)
  .meta({
    id: 'PostgresSource',
    description: 'Queries on a PostgreSQL; each returns the columns of a file in the long layout.',
  });

export const sourceSchema = z
  .discriminatedUnion('kind', [generatedSource, walmartSource, longSource, postgresSource])
  .meta({ id: 'Source', description: 'Source of the sales data.' });

type Source = z.output<typeof sourceSchema>;

const GENERATED_DATASET = 'generated';

/** Path or URL of a single file of sales in the long layout. */
export const SALES_FILE = /\.(csv(\.(gz|bz2|zst|zip))?|parquet|xlsx|xlsm)$/i;

/** Returns the name of the data set, by default the name of the source's folder; otherwise the issue. */
export function nameDataset(source: Source, given?: string): { dataset: string } | { issue: string } {
  const dataset = given ?? defaultDataset(source);
  if (dataset === '') return { issue: `${whyUnnamed(source)}: set it in the input or with --dataset` };
  if (dataset === GENERATED_DATASET && source.kind !== 'generated')
    return { issue: `"${GENERATED_DATASET}" is reserved for generated sales; choose another name` };
  return { dataset };
}

function whyUnnamed(source: Source): string {
  if (source.kind === 'postgres') return 'queries do not name their data set';
  if (pathOf(source) === undefined) return 'a variable does not name its data set';
  return isSalesFile(source)
    ? 'a file of new weeks does not name its data set'
    : 'the folder in source.path has no letter from a to z in its name';
}

/** Returns the path or URL of a source without a query; undefined where the source has none. */
const pathOf = (source: Source): string | undefined =>
  'path' in source ? source.path?.replace(/\?.*/, '') : undefined;

const isSalesFile = (source: Source): boolean =>
  source.kind === 'long' && SALES_FILE.test(pathOf(source) ?? '');

function defaultDataset(source: Source): string {
  if (source.kind === 'generated') return GENERATED_DATASET;
  if (isSalesFile(source)) return '';
  const folder =
    pathOf(source)
      ?.split('/')
      .findLast((part) => part !== '') ?? '';
  return folder
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^[^a-z]+|_+$/g, '')
    .slice(0, 32);
}
