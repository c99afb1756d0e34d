/** Sales of a snapshot in SQL, as shelfcast.missing_weeks (Python) completes them. */

import { AVAILABLE_ROWS, MISSING_WEEKS_ROW } from '../contracts/declaration.ts';

const STORE = 'coalesce(merged_store.into_number, s.store)';
const IS_OWN = '(merged_store.number is null and merged_dept.number is null)';
/** Columns store and dept of rows `s`, as `WITH_MERGES` joins them. */
export const SERIES = `${STORE} as store, coalesce(merged_dept.into_number, s.dept) as dept`;
/** Joins that find the store and the department of which those of rows `s` became part (shelfcast.snapshot). */
export const WITH_MERGES = `
  left join merges merged_store on merged_store."of" = 'store' and merged_store.number = s.store
  left join merges merged_dept on merged_dept."of" = 'dept' and merged_dept.number = s.dept`;

/**
 * Returns common table expressions, `merges` first, the last one `known_sales` (store, dept, week, weekly_sales).
 *
 * If the data set declares missing weeks as zero, a week without a row counts as 0 from the first week of its series to the
 * newest week of its store.
 *
 * @param dataset - parameter with the data set, like `$1`
 * @param batch - parameter with the snapshot's batch
 * @param first - expression of the first week that is wanted
 */
export const knownSales = (dataset: string, batch: string, first: string): string => `
  merges as (
    select distinct on ("of", number) "of", number, into_number
    from raw.merge where dataset = ${dataset} and batch_id <= ${batch} order by "of", number, batch_id desc
  ), row_sales as (
    select ${SERIES}, week, sum(weekly_sales) as weekly_sales
    from (
      select distinct on (store, dept, week) store, dept, week, weekly_sales
      from raw.sales where dataset = ${dataset} and batch_id <= ${batch} and week >= ${first}
      order by store, dept, week, batch_id desc
    ) s ${WITH_MERGES} group by 1, 2, 3
  ), series as (
    select ${SERIES}, min(begin) as begin, max(max(newest)) over (partition by ${STORE}) as newest
    from (
      select store, dept, min(week) as begin, max(week) as newest
      from raw.sales where dataset = ${dataset} and batch_id <= ${batch} group by store, dept
    ) s ${WITH_MERGES} group by 1, 2
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
 * It stands after the expressions of `knownSales`.
 */
export const hiddenWeeks = (dataset: string, batch: string, first: string): string => `
  hidden_weeks as (
    select store, dept, week from (
      select distinct on (name, 2, 3, week) name, ${SERIES}, week, value
      from (
        select distinct on (name, store, dept, week) name, store, dept, week, value
        from raw.extra
        where dataset = ${dataset} and batch_id <= ${batch} and week >= ${first} and name in ('open', '${AVAILABLE_ROWS}')
        order by name, store, dept, week, batch_id desc
      ) s ${WITH_MERGES}
      where name <> 'open' or ${IS_OWN}
      order by name, 2, 3, week, value is null, ${IS_OWN} desc, s.store, s.dept
    ) newest where value = 0 or (name = '${AVAILABLE_ROWS}' and value < 1)
  )`;
