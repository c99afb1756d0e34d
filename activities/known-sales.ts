/** Sales of a snapshot in SQL, as shelfcast.missing_weeks (Python) completes them. */

/** Row of raw.extra that declares the meaning of weeks without a row; ROW_NAME of shelfcast.missing_weeks. */
const MISSING_WEEKS_ARE_ZERO = 'missing weeks are zero';

/**
 * Returns common table expressions, the last one `known_sales` (store, dept, week, weekly_sales).
 *
 * If the data set declares missing weeks as zero, a week without a row counts as 0 from the first week of its series to the
 * newest week of its store.
 *
 * @param dataset - parameter with the data set, like `$1`
 * @param batch - parameter with the snapshot's batch
 */
export const knownSales = (dataset: string, batch: string): string => `
  row_sales as (
    select distinct on (store, dept, week) store, dept, week, weekly_sales
    from raw.sales where dataset = ${dataset} and batch_id <= ${batch}
    order by store, dept, week, batch_id desc
  ), missing as (
    select store, dept, day::date as week
    from (select store, dept, min(week) as first from row_sales group by store, dept) series
    join (select store, max(week) as newest from row_sales group by store) stores using (store),
    generate_series(first, newest, '7 days') day
    where (
      select value = 1 from raw.extra
      where dataset = ${dataset} and name = '${MISSING_WEEKS_ARE_ZERO}' and batch_id <= ${batch}
      order by batch_id desc limit 1
    )
    except select store, dept, week from row_sales
  ), known_sales as (
    select * from row_sales union all select *, 0::float8 from missing
  )`;
