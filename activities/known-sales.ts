/** Sales of a snapshot in SQL, as shelfcast.missing_weeks (Python) completes them. */

import { AVAILABLE_ROWS, MISSING_WEEKS_ROW } from '../contracts/declaration.ts';

/**
 * Returns common table expressions, the last one `known_sales` (store, dept, week, weekly_sales).
 *
 * If the data set declares missing weeks as zero, a week without a row counts as 0 from the first week of its series to the
 * newest week of its store.
 *
 * @param dataset - parameter with the data set, like `$1`
 * @param batch - parameter with the snapshot's batch
 * @param first - expression of the first week that is wanted
 */
export const knownSales = (dataset: string, batch: string, first: string): string => `
  row_sales as (
    select distinct on (store, dept, week) store, dept, week, weekly_sales
    from raw.sales where dataset = ${dataset} and batch_id <= ${batch} and week >= ${first}
    order by store, dept, week, batch_id desc
  ), series as (
    select store, dept, min(week) as begin, max(max(week)) over (partition by store) as newest
    from raw.sales where dataset = ${dataset} and batch_id <= ${batch} group by store, dept
  ), missing as (
    select store, dept, day::date as week
    from series, generate_series(begin, newest, '7 days') day
    where day::date >= ${first} and (
      select value = 1 from raw.extra
      where dataset = ${dataset} and name = '${MISSING_WEEKS_ROW}' and batch_id <= ${batch}
      order by batch_id desc limit 1
    )
    except select store, dept, week from row_sales
  ), known_sales as (
    select * from row_sales union all select *, 0::float8 from missing
  )`;

/**
 * Returns the common table expression `hidden_weeks` (store, dept or 0 for all of the store, week): weeks in which a store or a
 * series is shut or was out of stock, as shelfcast.features.open_weeks (Python) finds them. Their sales are not demand.
 */
export const hiddenWeeks = (dataset: string, batch: string, first: string): string => `
  hidden_weeks as (
    select store, dept, week from (
      select distinct on (name, store, dept, week) name, store, dept, week, value
      from raw.extra
      where dataset = ${dataset} and batch_id <= ${batch} and week >= ${first} and name in ('open', '${AVAILABLE_ROWS}')
      order by name, store, dept, week, batch_id desc
    ) newest where value = 0 or (name = '${AVAILABLE_ROWS}' and value < 1)
  )`;
