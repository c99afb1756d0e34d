/** Ids of the series in the files and tables of earlier stages, which have numbers instead (raw.id). */
import type { Pool } from 'pg';
import type { SeriesId } from '../contracts/series-id.ts';

type Kind = 'store' | 'dept';

/** Series as the tables number it. */
export interface NumberedSeries {
  store: number;
  dept: number;
}

/** A series, and what else the row has, as users and the endpoint know it. */
export type WithIds<T extends NumberedSeries> = Omit<T, Kind> & Record<Kind, SeriesId>;

export interface SeriesIds {
  withIds: <T extends NumberedSeries>(row: T) => WithIds<T>;
}

/** Reads the current ids of a data set. A number without an id is its own. */
export async function readSeriesIds(database: Pick<Pool, 'query'>, dataset: string): Promise<SeriesIds> {
  const { rows } = await database.query<{ of: Kind; number: number; id: string }>(
    `select "of", number, id from raw.current_id where dataset = $1 and "of" in ('store', 'dept')`,
    [dataset],
  );
  const idsOf = (kind: Kind): ((number: number) => SeriesId) => {
    const ids = new Map(rows.filter((row) => row.of === kind).map(({ number, id }) => [number, id]));
    // Data sets of whole numbers have numbers in requests and results, as before there was text.
    if ([...ids].every(([number, id]) => id === String(number))) return (number) => number;
    return (number) => ids.get(number) ?? String(number);
  };
  const [store, dept] = [idsOf('store'), idsOf('dept')];
  return { withIds: (row) => ({ ...row, store: store(row.store), dept: dept(row.dept) }) };
}
