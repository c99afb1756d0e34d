"""Rules of declared columns, on the data set as a load would leave it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.ingest.quality import EXAMPLES, Check
from shelfcast.snapshot import (
    DECLARED_COLUMNS,
    EXTERNALS,
    EXTRAS,
    SALES,
    STORE_WEEKS,
    DeclaredColumn,
    declared_columns,
)

Tables = Mapping[str, pa.Table]


def check_declared(tables: Tables, known: Tables) -> list[Check]:
    """Checks that declared columns have values, and as early as is declared.

    Args:
        tables: Rows of the load, by name of the table in ``shelfcast.snapshot``.
        known: The data set's newest snapshot, in the same form.
    """
    columns = {
        column.name: column
        for rows in (known, tables)
        for column in declared_columns(rows[DECLARED_COLUMNS.name])
    }
    last_week = _max(*(rows[SALES.name]["week"] for rows in (tables, known)))
    empty, late = [], []
    for column in columns.values():
        newest = _newest_week(column, tables, known)
        if newest is None:
            empty.append(column.name)
        elif column.known_after_weeks is not None and last_week is not None:
            wanted = last_week - timedelta(weeks=column.known_after_weeks)
            if newest < wanted:
                late.append(f"{column.name}: the newest value is of {newest}, not of {wanted}")
    return [
        Check("declared-column-empty", len(empty), empty[:EXAMPLES]),
        Check("declared-column-late", len(late), late[:EXAMPLES]),
    ]


def _max(*weeks: pa.ChunkedArray) -> date | None:
    newest: date | None = pc.max(pa.chunked_array([c for w in weeks for c in w.chunks], pa.date32())).as_py()
    return newest


def _newest_week(column: DeclaredColumn, tables: Tables, known: Tables) -> date | None:
    """Returns the newest week with a value; ``ALL_WEEKS`` for a column of stores, None where it has none."""
    loaded, stored = (_values(column, rows) for rows in (tables, known))
    # What a load has of a key counts, "unknown" too.
    kept = stored.filter(stored["value"].is_valid()).join(loaded, EXTRAS.key, join_type="left anti")
    there = loaded.filter(loaded["value"].is_valid())
    return _max(there["week"], kept["week"])


def _values(column: DeclaredColumn, tables: Tables) -> pa.Table:
    """Returns the column's rows of ``EXTRAS``; those of an external are with the store weeks."""
    if column.name not in EXTERNALS:
        rows = tables[EXTRAS.name]
        return rows.filter(pc.equal(rows["name"], column.name))
    rows = tables[STORE_WEEKS.name]
    return pa.table(
        {
            "name": pa.repeat(column.name, len(rows)),
            "store": rows["store"],
            "dept": pa.repeat(0, len(rows)),
            "week": rows["week"],
            "value": rows[column.name],
        }
    )
