/** Declaration of a source's columns, from the options of a command. */
import type { z } from 'zod';
import { declarationSchema } from '../contracts/declaration.ts';
import { sentencesOf } from '../contracts/zod-issues.ts';
import { inputError, readJsonObject } from './input-error.ts';

export interface DeclarationOptions {
  /** Declaration as JSON or the path of a JSON file; the other options override its values. */
  declaration?: string | undefined;
  /** Roles with their columns, like `store=country,shop`. */
  column?: string[] | undefined;
  /** Columns that are not read. */
  ignore?: string[] | undefined;
  /** Levels with the column of their members, like `region=stores.region`. */
  level?: string[] | undefined;
  /** Stores and departments that are totals, like `dept=All`. */
  total?: string[] | undefined;
  sum?: string | undefined;
  weekEnds?: string | undefined;
  timeZone?: string | undefined;
  decimal?: string | undefined;
  dateFormat?: string | undefined;
  /** Sheet of a workbook to read. */
  sheet?: string | undefined;
  missingWeeks?: string | undefined;
  unit?: string | undefined;
  /** Country, or country and region with a dash, whose public holidays count. */
  holidays?: string | undefined;
}

type Declaration = z.input<typeof declarationSchema>;

/**
 * Returns the declaration of the options, or undefined if they have none, and the other options.
 *
 * @throws ShelfcastError `InvalidInput` with one sentence for each invalid value
 */
export function splitDeclaration<T extends DeclarationOptions>({
  declaration,
  column,
  ignore,
  level,
  total,
  sum,
  weekEnds,
  timeZone,
  decimal,
  dateFormat,
  sheet,
  missingWeeks,
  unit,
  holidays,
  ...others
}: T): { declaration: Declaration | undefined; others: Omit<T, keyof DeclarationOptions> } {
  const values = {
    ...withoutUndefined({ sum, weekEnds, timeZone, decimal, dateFormat, sheet, missingWeeks, unit }),
    ...(holidays === undefined ? {} : { holidays: regionOf(holidays) }),
  };
  return { declaration: declared({ declaration, column, ignore, level, total }, values), others };
}

function declared(
  {
    declaration,
    column,
    ignore,
    level,
    total,
  }: Pick<DeclarationOptions, 'declaration' | 'column' | 'ignore' | 'level' | 'total'>,
  values: Record<string, unknown>,
): Declaration | undefined {
  const base =
    declaration === undefined
      ? {}
      : readJsonObject('--declaration', declaration, '{"columns": {"week": "date"}}');
  const merged = {
    ...base,
    ...(column === undefined
      ? {}
      : { columns: { ...(base['columns'] as object | undefined), ...rolesOf(column) } }),
    ...(level === undefined
      ? {}
      : { levels: { ...(base['levels'] as object | undefined), ...Object.fromEntries(level.map(levelOf)) } }),
    ...(total === undefined ? {} : { totals: totalsOf(total) }),
    ...(ignore === undefined ? {} : { ignore: ignore.flatMap(namesIn) }),
    ...values,
  };
  if (Object.keys(merged).length === 0) return undefined;
  const parsed = declarationSchema.safeParse(merged);
  if (parsed.success) return parsed.data;
  throw inputError(`invalid declaration: ${sentencesOf(parsed.error).join('; ')}`);
}

function rolesOf(column: string[]): Record<string, string | string[]> {
  return Object.fromEntries(
    column.map((text) => {
      const [, role, names] = /^(\w+)=(.+)$/.exec(text) ?? [];
      if (role === undefined || names === undefined)
        throw inputError(
          `--column is ${text}; write role=column, like --column week=date or --column store=country,shop`,
        );
      const columns = namesIn(names);
      return [role, columns.length === 1 ? (columns[0] ?? '') : columns];
    }),
  );
}

function levelOf(text: string): [string, string] {
  const [, name, column] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name !== undefined && column !== undefined) return [name.trim(), column.trim()];
  throw inputError(`--level is ${text}; write name=column, like --level region=stores.region`);
}

function totalsOf(total: string[]): Record<string, string[]> {
  const ids: Record<string, string[]> = {};
  for (const text of total) {
    const [, of, id] = /^(store|dept)=(.+)$/.exec(text) ?? [];
    if (of === undefined || id === undefined)
      throw inputError(`--total is ${text}; write store=id or dept=id, like --total dept=All`);
    ids[of] = [...(ids[of] ?? []), id.trim()];
  }
  return ids;
}

const withoutUndefined = (values: Record<string, string | undefined>): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

function regionOf(code: string): { country: string; region?: string } {
  const [country = '', ...region] = code.split('-');
  return region.length === 0 ? { country } : { country, region: region.join('-') };
}

const namesIn = (text: string): string[] => text.split(',').map((name) => name.trim());
