"""First origin with features that may differ between two snapshots of a data set."""

from __future__ import annotations

from datetime import date

import psycopg

from shelfcast.features.definitions import FeatureSet
from shelfcast.features.publication_lags import SALES
from shelfcast.snapshot import ALL_WEEKS, EXTERNALS, missing_are_zero


def first_changed_origin(
    connection: psycopg.Connection, before: str, dataset: str, batch_id: int, features: FeatureSet
) -> date | None:
    """Returns the first origin with weekly features that may differ from an earlier snapshot's.

    A feature row depends only on values known at its origin. So a value that changed since, in a new week or
    by a late correction, changes no row of an earlier origin. Static covariates do not count: their only rows
    are those of the last week.

    Args:
        connection: Connection to the database of the raw tables.
        before: Id of the earlier snapshot.
        dataset: Data set of the snapshot.
        batch_id: Batch of the snapshot.
        features: Feature set of both snapshots; it decides from which origin on a value is read.

    Returns:
        ``date.max`` if there is no such origin. None if ``before`` is a later snapshot, of another data
        set, or with other merges or another meaning of missing weeks, so that any row may differ.
    """
    dataset_before, batch_before, _ = before.rsplit("-", 2)
    if dataset_before != dataset or int(batch_before) > batch_id:
        return None
    period = {"dataset": dataset, "after": int(batch_before), "up_to": batch_id}
    merges = connection.execute(
        "select from raw.merge where dataset = %(dataset)s "
        "and batch_id > %(after)s and batch_id <= %(up_to)s",
        period,
    )
    if merges.rowcount > 0:
        return None
    is_zero = missing_are_zero(connection, dataset, batch_id)
    if is_zero != missing_are_zero(connection, dataset, int(batch_before)):
        return None
    changed = connection.execute(
        """
        with batches as (
          select batch_id from raw.batch
          where dataset = %(dataset)s and batch_id > %(after)s and batch_id <= %(up_to)s
        ), stores as (
          select store, max(week) filter (where batch_id <= %(after)s) as newest,
            bool_or(batch_id > %(after)s) as has_new
          from raw.sales where %(is_zero)s and dataset = %(dataset)s and batch_id <= %(up_to)s group by store
        ), merges as (
          select distinct on (number) number, into_number from raw.merge
          where dataset = %(dataset)s and "of" = 'store' and batch_id <= %(up_to)s
          order by number, batch_id desc
        )
        select %(sales)s, min(week) from raw.sales
          where dataset = %(dataset)s and batch_id in (table batches)
        union all
        -- A newer week of a store makes its earlier weeks without a row zero.
        select %(sales)s, max(newest) + 7 from stores left join merges on number = store
          group by coalesce(into_number, store) having bool_or(has_new)
        union all
        select name, min(week) from raw.store_week, unnest(%(externals)s::text[]) name
          where dataset = %(dataset)s and batch_id in (table batches) group by name
        union all
        select name, min(week) from raw.extra
          where dataset = %(dataset)s and batch_id in (table batches) and week <> %(all_weeks)s group by name
        """,
        {
            **period,
            "is_zero": is_zero,
            "sales": SALES,
            "externals": list(EXTERNALS),
            "all_weeks": ALL_WEEKS,
        },
    )
    # No feature reads the other rows, such as the names of holidays.
    read = [(column, week) for column, week in changed if week is not None and column in features.sources]
    origins = [features.earliest_origin(column, week) for column, week in read]
    return min(origins, default=date.max)
