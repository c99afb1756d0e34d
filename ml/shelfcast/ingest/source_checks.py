"""All checks of a load from a source, of which an inspection shows the same."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from shelfcast.ids import Ids
from shelfcast.ingest.bad_rows import check_rows
from shelfcast.ingest.days import today_in
from shelfcast.ingest.declared_likes import check_likes
from shelfcast.ingest.holiday_checks import check_holidays
from shelfcast.ingest.holiday_covariates import with_holidays
from shelfcast.ingest.intermittent_sales import with_intermittency
from shelfcast.ingest.level_members import check_members
from shelfcast.ingest.load_checks import SalesRows, check_load
from shelfcast.ingest.merged_ids import check_merges
from shelfcast.ingest.open_dates import check_open_dates, with_open_dates
from shelfcast.ingest.quality import Check
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.ingest.total_rows import find_total_rows
from shelfcast.snapshot import IDS, SALES


def load_tables(rows: SourceRows, known: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Returns the tables of a load, with the covariates that follow from its rows.

    Args:
        rows: Content of the source.
        known: Rows of the data set's newest snapshot by table name, empty if there is none.
    """
    with_days = with_holidays(rows.tables, known, rows.holidays)
    return with_intermittency(with_open_dates(with_days, known), known)


def check_source(
    rows: SourceRows, known: Mapping[str, pa.Table], max_bad_row_share: float
) -> tuple[dict[str, pa.Table], list[Check]]:
    """Returns the ``load_tables``, and the result of each check.

    Args:
        rows: Content of the source.
        known: Rows of the data set's newest snapshot by table name, empty if there is none.
        max_bad_row_share: Share of bad rows above which the load stops, 0 to 1.
    """
    tables = load_tables(rows, known)
    ids = Ids.of(pa.concat_tables([of[IDS.name] for of in (known, tables)]))
    totals = [*rows.totals, *find_total_rows(SalesRows.of(ids, tables[SALES.name]))]
    return tables, [
        *check_rows(rows.findings, rows.row_count, max_bad_row_share),
        Check("unread-column", len(rows.unread), rows.unread),
        Check("file-format", len(rows.notes), rows.notes),
        Check("empty-sales", len(rows.empty_sales), rows.empty_sales),
        Check("similar-id", len(rows.similar_ids), rows.similar_ids),
        Check("partial-week", rows.partial_weeks.count, rows.partial_weeks.examples),
        Check("total-row", len(totals), totals),
        check_members(tables, known, ids),
        check_merges(tables, known, ids),
        check_open_dates(tables, known, ids),
        check_likes(tables, known, ids),
        *check_holidays(tables, known, rows.holidays),
        *check_load(tables, known, today_in(rows.time_zone)),
    ]
