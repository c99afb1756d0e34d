"""Data-quality checks of covariates, on the data set as it would be after the load."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.features.own_holidays import COVARIATE_NAMES, HOLIDAY
from shelfcast.ids import Ids
from shelfcast.ingest.holiday_rows import LoadHolidays
from shelfcast.ingest.quality import EXAMPLES, Check
from shelfcast.snapshot import (
    COVARIATES,
    EXTERNALS,
    EXTRAS,
    IDS,
    SALES,
    STORE_WEEKS,
    Covariate,
    covariates_of,
)

Tables = Mapping[str, pa.Table]

#: Weeks after the newest one whose holidays should be known: a quarter.
HOLIDAY_WEEKS_AHEAD = 13


def check_covariates(tables: Tables, known: Tables) -> list[Check]:
    """Checks that covariates have values, and as early as they are declared to be known.

    Args:
        tables: Rows of the load by table name of ``shelfcast.snapshot``.
        known: Rows of the data set's newest snapshot by table name.
    """
    covariates = {c.name: c for rows in (known, tables) for c in covariates_of(rows[COVARIATES.name])}
    covariates = {name: c for name, c in covariates.items() if name not in COVARIATE_NAMES}
    last_week = _max(*(rows[SALES.name]["week"] for rows in (tables, known)))
    empty, late = [], []
    for covariate in covariates.values():
        newest = _newest_week(covariate, tables, known)
        if newest is None:
            empty.append(covariate.name)
        elif covariate.known_after_weeks is not None and last_week is not None:
            wanted = last_week - timedelta(weeks=covariate.known_after_weeks)
            if newest < wanted:
                late.append(f"{covariate.name}: the newest value is of {newest}, not of {wanted}")
    return [
        Check("covariate-empty", len(empty), empty[:EXAMPLES]),
        Check("covariate-late", len(late), late[:EXAMPLES]),
        _holidays_ahead(tables, known, last_week),
    ]


def check_holiday_source(tables: Tables, known: Tables, load: LoadHolidays) -> Check:
    """Checks that the data say which weeks hold holidays."""
    is_own = any(HOLIDAY in rows[COVARIATES.name]["name"].to_pylist() for rows in (known, tables))
    examples = [] if is_own or load.has_flags else ["declare holidays, like --holidays DE (docs/data.md)"]
    return Check("holiday-source", len(examples), examples)


def _holidays_ahead(tables: Tables, known: Tables, last_week: date | None) -> Check:
    """Checks that the weeks after the newest one are known to have a holiday or none, of each store.

    A data set without holidays of its own keeps the rule: its calendar has no end.
    """
    rows = pa.concat_tables([t[EXTRAS.name].filter(pc.field("name") == HOLIDAY) for t in (known, tables)])
    newest = rows.group_by("store").aggregate([("week", "max")]).sort_by("store")
    wanted = (last_week or date.min) + timedelta(weeks=HOLIDAY_WEEKS_AHEAD)
    late = [row for row in newest.to_pylist() if row["week_max"] < wanted]
    ids = Ids.of(pa.concat_tables([t[IDS.name] for t in (known, tables)]))
    examples = [
        f"store {ids.id('store', row['store'])}: known to {row['week_max']}, not to {wanted}" for row in late
    ]
    return Check("holidays-ahead", len(late), examples[:EXAMPLES])


def _max(*weeks: pa.ChunkedArray) -> date | None:
    newest: date | None = pc.max(pa.chunked_array([c for w in weeks for c in w.chunks], pa.date32())).as_py()
    return newest


def _newest_week(covariate: Covariate, tables: Tables, known: Tables) -> date | None:
    """Returns the newest week with a value: ``ALL_WEEKS`` for a static covariate, None without any value."""
    loaded, stored = (_values(covariate, rows) for rows in (tables, known))
    # The load replaces known values, also by "unknown".
    kept = stored.filter(stored["value"].is_valid()).join(loaded, EXTRAS.key, join_type="left anti")
    present = loaded.filter(loaded["value"].is_valid())
    return _max(present["week"], kept["week"])


def _values(covariate: Covariate, tables: Tables) -> pa.Table:
    """Returns the covariate's rows in the form of ``EXTRAS``; externals are read from the store weeks."""
    if covariate.name not in EXTERNALS:
        rows = tables[EXTRAS.name]
        return rows.filter(pc.equal(rows["name"], covariate.name))
    rows = tables[STORE_WEEKS.name]
    return pa.table(
        {
            "name": pa.repeat(covariate.name, len(rows)),
            "store": rows["store"],
            "dept": pa.repeat(0, len(rows)),
            "week": rows["week"],
            "value": rows[covariate.name],
        }
    )
