/** Declaration of a source's columns, of the same form in the input of a run and in the file shelfcast.json. */
import { z } from 'zod';

/** Name of the row of raw.extra that declares the meaning of weeks without a row. */
export const MISSING_WEEKS_ROW = 'missing weeks are zero';

/** Name of the rows of raw.extra with the share of a week in which a series was not out of stock. */
export const AVAILABLE_ROWS = 'share of the week in stock';

/** Maximum number of characters of the description of a covariate. */
export const MAX_DESCRIPTION = 200;

const ownColumn = z.string().min(1);

const description = z.string().min(1).max(MAX_DESCRIPTION).describe('Meaning of the column, for people.');
const covariateName = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,39}$/, 'must be at most 40 lower-case letters, digits and underscores')
  .describe('Name of the column.');
const covariateColumn = ownColumn.optional().describe("Your name of the column, if it isn't `name`.");

/** Covariates that the user adds (docs/data.md). The ingest job refuses names that are taken. */
export const covariates = z.array(
  z
    .discriminatedUnion('of', [
      z
        .strictObject({
          name: covariateName,
          of: z
            .enum(['series_week', 'store_week'])
            .describe('Key of its values: series and week, or store and week.'),
          knownAfterWeeks: z
            .int()
            .min(-52)
            .max(52)
            .describe(
              'The value of week w is known at the end of week w + knownAfterWeeks; ' +
                'a negative number means known in advance.',
            ),
          description,
          column: covariateColumn,
          perWeek: z
            .enum(['mean', 'last'])
            .meta({ id: 'PerWeek', description: 'Value of a week made of those of its days.' })
            .optional()
            .describe(
              "Value of a week where days are summed to weeks: the mean of its days' values, unless `last`.",
            ),
        })
        .meta({ id: 'WeeklyCovariate', description: 'A column with a value for each week.' }),
      z
        .strictObject({
          name: covariateName,
          of: z.literal('store').describe('Key of its values: the store.'),
          description,
          column: covariateColumn,
        })
        .meta({ id: 'StaticCovariate', description: 'A column with one value for each store.' }),
    ])
    .meta({ id: 'Covariate', description: 'A column that the user adds to the sales.' }),
);

const ids = z.union([ownColumn, z.array(ownColumn).min(1)]).optional();

const columnRoles = z
  .strictObject({
    week: ownColumn.optional().describe('Last day of the week.'),
    store: ids.describe('Store; the cells of several columns are joined to one id, like `US/12`.'),
    dept: ids.describe('Department; the cells of several columns are joined to one id.'),
    sales: ownColumn.optional().describe('Sales of the department in the week.'),
    holiday: ownColumn.optional().describe('Whether the week is a holiday week.'),
    available: ownColumn
      .optional()
      .describe('Share of the week, 0 to 1, in which the department was not out of stock.'),
    stock: ownColumn
      .optional()
      .describe('Stock at the end of the week or day; 0 is a stock-out. In place of `available`.'),
    type: ownColumn.optional().describe("The store's type."),
    size: ownColumn.optional().describe("The store's size."),
    opened: ownColumn.optional().describe('First day of the store.'),
    closed: ownColumn.optional().describe('Last day of the store.'),
    like: ownColumn
      .optional()
      .describe('Store, or in `items` department, from whose history a new one starts.'),
  })
  .meta({ id: 'ColumnRoles', description: 'Your names of the columns of the long layout.' });

const id = z.string().min(1).max(100);

const rename = z
  .strictObject({
    of: z.enum(['store', 'dept']).describe('Whether a store or a department got another id.'),
    from: id.describe('Former id.'),
    to: id.describe('New id, which has the history of the former one.'),
  })
  .meta({ id: 'Rename', description: 'A store or a department that got another id.' });

const merge = z
  .strictObject({
    of: z.enum(['store', 'dept']).describe('Whether stores or departments became one.'),
    from: id.describe('Id that is forecast no more.'),
    to: id.describe('Id that remains, which has the history of both.'),
  })
  .meta({ id: 'Merge', description: 'A store or a department that became part of another one.' });

const holidayRegion = {
  country: z.string().describe('Country, an ISO 3166 code like `DE`.'),
  region: z.string().optional().describe('Part of the country, like `BY`.'),
};

const holidays = z
  .strictObject({
    country: holidayRegion.country.optional(),
    region: holidayRegion.region,
    stores: z
      .record(
        ownColumn,
        z
          .strictObject(holidayRegion)
          .meta({ id: 'HolidayRegion', description: 'Country or region with a calendar of holidays.' }),
      )
      .optional()
      .describe('Country and region of single stores, by their ids.'),
  })
  .meta({ id: 'Holidays', description: 'Calendars of public holidays: one for all stores, or by store.' });

const levels = z.record(
  z.string().regex(/^[a-z][a-z0-9_]{0,39}$/, 'must be at most 40 lower-case letters, digits and underscores'),
  z
    .string()
    .regex(
      /^(stores|items)\..+$/,
      'must be a column of stores or items, like stores.region or items.category',
    ),
);

const totals = z
  .strictObject({
    store: z.array(id).min(1).optional().describe('Ids that stand for all stores together.'),
    dept: z.array(id).min(1).optional().describe('Ids that stand for all departments of a store together.'),
  })
  .meta({ id: 'Totals', description: 'Ids whose rows are totals of others.' });

export const declarationSchema = z
  .strictObject({
    columns: columnRoles
      .optional()
      .describe(
        'Your columns; one that is not named has its name of the long layout. ' +
          'Without a column of stores or of departments, there is one of them.',
      ),
    ignore: z
      .array(ownColumn)
      .optional()
      .describe('Columns that are not read, and that the report does not name as unread.'),
    sum: z
      .enum(['days'])
      .optional()
      .describe('`days` sums rows of days, or of sales at any time of day, to weeks.'),
    weekEnds: z
      .enum(['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'])
      .optional()
      .describe(
        'Last weekday of the weeks to which days are summed; by default that of the data set, or Sunday for a new one.',
      ),
    timeZone: z
      .string()
      .regex(/^[A-Za-z0-9_+/-]+$/, 'must be the name of a time zone, like Europe/Berlin')
      .optional()
      .describe(
        'Time zone of the stores (IANA): it decides the day of a timestamp with a zone, and whether a week is over; ' +
          'by default a timestamp has the day of its own zone, and a week is over in UTC.',
      ),
    decimal: z
      .enum(['.', ','])
      .optional()
      .describe('Decimal separator of numbers; by default the cells of a file tell it.'),
    dateFormat: z
      .string()
      .regex(/YYYY|MM|DD/, 'must have YYYY, MM and DD, like DD.MM.YYYY')
      .optional()
      .describe('Date format, like `DD.MM.YYYY`; by default the cells of a file tell it.'),
    sheet: z
      .string()
      .min(1)
      .optional()
      .describe('Sheet of a workbook to read; by default the only one with data.'),
    missingWeeks: z
      .enum(['unknown', 'zero'])
      .optional()
      .describe(
        'Meaning of weeks of a series without a row: `unknown`, or `zero` for weeks without sales; ' +
          'by default what an earlier load declared, or `unknown`.',
      ),
    unit: z
      .string()
      .regex(/^[^\s|<>"`$][^|<>"`$]{0,19}$/, 'must be 1 to 20 characters, like EUR, pieces or calls')
      .optional()
      .describe(
        'Unit of the sales, such as a currency, `pieces` or `calls`; by default what an earlier load declared, or USD.',
      ),
    covariates: covariates.optional().describe("Covariates; they replace the folder's columns.json."),
    renamed: z
      .array(rename)
      .optional()
      .describe('Stores and departments that got another id, in the order of the changes.'),
    merged: z
      .array(merge)
      .optional()
      .describe('Stores and departments that became part of another one: their sales are summed.'),
    holidays: holidays.optional().describe('Public holidays that count in weeks without a holiday flag.'),
    levels: levels
      .optional()
      .describe(
        'Levels of totals beside `store`, `dept` and `total`, each with the column that names the members, ' +
          'like `stores.region` or `items.category`; an earlier load keeps its levels.',
      ),
    totals: totals.optional().describe('Stores and departments that are totals of others: not read.'),
  })
  .meta({
    id: 'Declaration',
    description:
      "Meaning of a source's columns (docs/data.md); in the input it replaces the folder's shelfcast.json.",
  });
