"""Data-quality checks of covariates, on the data set as it would be after the load."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.features.open_weeks import AVAILABLE, OPEN
from shelfcast.ids import Ids
from shelfcast.ingest.covariates import DERIVED_NAMES
from shelfcast.ingest.quality import EXAMPLES, Check
from shelfcast.snapshot import (
    COVARIATES,
    EXTERNALS,
    EXTRAS,
    SALES,
    STORE_WEEKS,
    Covariate,
    covariates_of,
)

Tables = Mapping[str, pa.Table]


def check_stock_outs(tables: Tables, ids: Ids) -> Check:
    """Counts the weeks of the load's series in which they were out of stock.

    Args:
        tables: Rows of the load by table name of ``shelfcast.snapshot``.
        ids: Ids of the load.
    """
    key = ["store", "dept", "week"]
    shares = _values(AVAILABLE, tables)
    last = _max(tables[SALES.name]["week"])
    censored = shares.filter(pc.and_(pc.less(shares["value"], 1), pc.less_equal(shares["week"], last)))
    without_row = censored.join(tables[SALES.name].select(key), key, join_type="left anti")
    weeks = len(tables[SALES.name]) + len(without_row)
    if len(censored) == 0:
        return Check("stock-out", 0)
    share = (
        f"{len(censored):,} of {weeks:,} weeks of series, {len(censored) / weeks:.1%}, are unknown demand: "
        "no level, no lag, no training and no error counts them"
    )
    worst = censored.sort_by([("value", "ascending"), *((name, "ascending") for name in key)])
    examples = [
        f"{ids.series(row['store'], row['dept'])} {row['week']}: in stock for {row['value']:.0%}"
        for row in worst.slice(0, EXAMPLES - 1).to_pylist()
    ]
    return Check("stock-out", len(censored), [share, *examples])


def check_covariates(tables: Tables, known: Tables) -> list[Check]:
    """Checks that covariates have values, and as early as they are declared to be known.

    Args:
        tables: Rows of the load by table name of ``shelfcast.snapshot``.
        known: Rows of the data set's newest snapshot by table name.
    """
    covariates = {c.name: c for rows in (known, tables) for c in covariates_of(rows[COVARIATES.name])}
    derived = DERIVED_NAMES - {AVAILABLE.name}
    covariates = {name: c for name, c in covariates.items() if name not in derived}
    last_week = _max(*(rows[SALES.name]["week"] for rows in (tables, known)))
    empty, late = [], []
    for covariate in covariates.values():
        newest = _newest_week(covariate, tables, known)
        if newest is None:
            empty.append(covariate.name)
        # A week without a value is open, so nothing is late.
        elif covariate.known_after_weeks is not None and last_week is not None and covariate.name != OPEN:
            wanted = last_week - timedelta(weeks=covariate.known_after_weeks)
            if newest < wanted:
                late.append(f"{covariate.name}: the newest value is of {newest}, not of {wanted}")
    return [
        Check("covariate-empty", len(empty), empty[:EXAMPLES]),
        Check("covariate-late", len(late), late[:EXAMPLES]),
    ]


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
