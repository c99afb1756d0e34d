"""Weeks of a series without a row: unknown, or weeks without sales where the data set declares it."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shelfcast.contracts.specs import MISSING_WEEKS_ROW

Ints = NDArray[np.int64]

ZERO, UNKNOWN = "zero", "unknown"


def declared_row(meaning: str, whole: int, always: date, schema: pa.Schema) -> pa.Table:
    """Returns the declaration as a row of ``snapshot.EXTRAS``: 1 for weeks without sales, 0 for unknown ones.

    Users' columns have no spaces in their names, and no feature reads it.

    Args:
        meaning: ``ZERO`` or ``UNKNOWN``.
        whole: Key of the data set as a whole.
        always: Key of all weeks.
        schema: Columns of the row.
    """
    row = {
        "name": MISSING_WEEKS_ROW,
        "store": whole,
        "dept": whole,
        "week": always,
        "value": float(meaning == ZERO),
    }
    return pa.Table.from_pylist([row], schema)


def declared_meaning(extras: pa.Table) -> str | None:
    """Returns the declaration among the rows of ``snapshot.EXTRAS`` of a snapshot; None if there is none."""
    values = extras.filter(pc.equal(extras["name"], MISSING_WEEKS_ROW))["value"].to_pylist()
    return (ZERO if values[-1] == 1 else UNKNOWN) if values else None


def missing_weeks(store: Ints, dept: Ints, week: Ints) -> tuple[Ints, Ints, Ints]:
    """Returns store, dept and week (days) of the weeks without a row, ordered by these.

    They lie between the first week of their series and the newest week of its store: a series that ended
    sells nothing, but of a store that has not reported yet nothing is known.
    """
    if len(week) == 0:
        return store, dept, week
    pairs, series = np.unique(np.stack([store, dept]), axis=1, return_inverse=True)
    series = series.reshape(-1)
    first = np.full(pairs.shape[1], week.max())
    np.minimum.at(first, series, week)
    stores, of = np.unique(pairs[0], return_inverse=True)
    newest = np.full(len(stores), week.min())
    np.maximum.at(newest, of[series], week)
    lengths = (newest[of] - first) // 7 + 1
    starts = np.cumsum(lengths) - lengths
    has_row = np.zeros(lengths.sum(), dtype=bool)
    has_row[starts[series] + (week - first[series]) // 7] = True
    cell = np.flatnonzero(~has_row)
    owner = np.searchsorted(starts, cell, side="right") - 1
    return pairs[0][owner], pairs[1][owner], first[owner] + 7 * (cell - starts[owner])


def with_zero_weeks(sales: pa.Table) -> pa.Table:
    """Returns rows of ``snapshot.SALES`` with a row of 0 for each missing week, in key order.

    Nothing reads the holiday flag of the rows; it is false in those that are added.
    """
    days = sales["week"].cast(pa.int32()).to_numpy().astype(np.int64)
    store, dept, week = missing_weeks(sales["store"].to_numpy(), sales["dept"].to_numpy(), days)
    added = pa.table(
        {
            "store": store,
            "dept": dept,
            "week": pa.array(week.astype(np.int32)).cast(pa.date32()),
            "weekly_sales": np.zeros(len(store)),
            "is_holiday": np.zeros(len(store), dtype=bool),
        }
    ).select(sales.schema.names)
    rows = pa.concat_tables([sales, added.cast(sales.schema)])
    return rows.sort_by([(name, "ascending") for name in ("store", "dept", "week")]).combine_chunks()
