"""Covariates of the holidays that a data set has of its own (``features.own_holidays``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shelfcast import calendar
from shelfcast.features.own_holidays import (
    COVARIATES as HOLIDAY_COVARIATES,
)
from shelfcast.features.own_holidays import (
    DAYS_SINCE,
    DAYS_UNTIL,
    HOLIDAY,
    MAX_DAYS,
    WEEKS_BACK,
)
from shelfcast.ingest.last_year_weeks import Floats, weeks_back
from shelfcast.snapshot import COVARIATES, EXTRAS, STORE_AS_A_WHOLE, STORE_WEEKS

Tables = Mapping[str, pa.Table]
Ints = NDArray[np.int64]

_DAYS_A_WEEK = 7
_WEEKS_OF_DAYS = MAX_DAYS // _DAYS_A_WEEK


def with_holidays(tables: Tables, known: Tables, has_flags: bool) -> dict[str, pa.Table]:
    """Returns the tables of a load, with the covariates of holidays if the data set has its own.

    Flags decide which weeks hold a holiday. They are the data set's own as soon as one of them is not as in
    ``shelfcast.calendar``.

    Args:
        tables: Good rows of the load by table name of ``shelfcast.snapshot``.
        known: Rows of the data set's newest snapshot by table name.
        has_flags: Whether the flags of the load are the source's own.
    """
    was_own = HOLIDAY in known[COVARIATES.name]["name"].to_pylist()
    sources = [_known_flags(known)] if was_own else []
    if has_flags:
        # Before the data set had holidays of its own, its store weeks had all flags.
        sources += [_flags(rows[STORE_WEEKS.name]) for rows in ([tables] if was_own else [known, tables])]
    flags = _Flags.of([rows for rows in sources if len(rows) > 0])
    if flags is None or not (was_own or flags.differ_from_calendar()):
        return dict(tables)
    declared = pa.Table.from_pylist([asdict(c) for c in HOLIDAY_COVARIATES], COVARIATES.schema)
    return {
        **tables,
        COVARIATES.name: pa.concat_tables([tables[COVARIATES.name], declared]),
        EXTRAS.name: pa.concat_tables([tables[EXTRAS.name], *_rows(flags)]),
    }


@dataclass(frozen=True)
class _Flags:
    """Holiday flags of stores.

    Attributes:
        stores: Store numbers, ascending [stores].
        first: First week.
        values: 1 in weeks with a holiday, 0 in others, NaN where unknown [stores, weeks].
    """

    stores: Ints
    first: date
    values: Floats

    @classmethod
    def of(cls, sources: Iterable[pa.Table]) -> _Flags | None:
        """Returns the flags of tables with store, week and flag; a later table replaces an earlier one's.

        A store without a flag in a week has the one that all other stores share.
        """
        rows = pa.concat_tables(sources) if (sources := list(sources)) else None
        if rows is None:
            return None
        stores, store = np.unique(rows["store"].to_numpy(), return_inverse=True)
        day = rows["week"].cast(pa.int32()).to_numpy().astype(np.int64)
        week = (day - day.min()) // _DAYS_A_WEEK
        values = np.full((len(stores), week.max() + 1), np.nan)
        values[store, week] = rows["flag"].to_numpy()
        low, high = np.fmin.reduce(values), np.fmax.reduce(values)
        shared = np.where(low == high, low, np.nan)
        first = date(1970, 1, 1) + timedelta(days=int(day.min()))
        return cls(stores, first, np.where(np.isnan(values), shared, values))

    @property
    def weeks(self) -> list[date]:
        """Last day of each week."""
        return [self.first + n * calendar.WEEK for n in range(self.values.shape[1])]

    def differ_from_calendar(self) -> bool:
        """Whether a known flag is not as in ``shelfcast.calendar``."""
        usual = np.array([calendar.is_holiday(week) for week in self.weeks], dtype=np.float64)
        return bool((np.isfinite(self.values) & (self.values != usual)).any())


def _flags(rows: pa.Table) -> pa.Table:
    flag = rows["is_holiday"].cast(pa.uint8()).cast(pa.float64())
    return pa.table({"store": rows["store"], "week": rows["week"], "flag": flag})


def _known_flags(known: Tables) -> pa.Table:
    rows = known[EXTRAS.name].filter(pc.field("name") == HOLIDAY)
    return pa.table({"store": rows["store"], "week": rows["week"], "flag": rows["value"]})


def _rows(flags: _Flags) -> Iterable[pa.Table]:
    """Yields the values of each covariate as rows of ``EXTRAS``, of all weeks with a known flag."""
    patterns, pattern = np.unique(flags.values, axis=0, return_inverse=True)
    unnamed = [frozenset[str]()] * flags.values.shape[1]
    columns = {
        HOLIDAY: patterns,
        DAYS_UNTIL: np.stack([_days_to_holiday(row, range(1, _WEEKS_OF_DAYS)) for row in patterns]),
        DAYS_SINCE: np.stack([_days_to_holiday(row, range(1 - _WEEKS_OF_DAYS, 1)) for row in patterns]),
        WEEKS_BACK: np.stack([weeks_back(row, unnamed) for row in patterns]),
    }
    store, week = np.nonzero(np.isfinite(flags.values))
    weeks = pa.array(flags.weeks, pa.date32()).take(pa.array(week))
    for name, values in columns.items():
        yield pa.table(
            {
                "name": pa.repeat(name, len(store)),
                "store": flags.stores[store],
                "dept": pa.repeat(STORE_AS_A_WHOLE, len(store)),
                "week": weeks,
                "value": pa.array(values[pattern[store], week], from_pandas=True),
            }
        ).cast(EXTRAS.schema)


def _days_to_holiday(flags: Floats, weeks: Iterable[int]) -> Floats:
    """Returns the days to the nearest week with a holiday, ``MAX_DAYS`` at most, NaN where it is unknown.

    Args:
        flags: Flags of a store [weeks].
        weeks: Weeks to look at, relative to each week.
    """
    days = np.full(len(flags), float(MAX_DAYS))
    padded = np.pad(flags, _WEEKS_OF_DAYS, constant_values=np.nan)
    for n in sorted(weeks, key=abs, reverse=True):
        there = padded[_WEEKS_OF_DAYS + n :][: len(flags)]
        days = np.where(there == 1, _DAYS_A_WEEK * abs(n), np.where(np.isnan(there), np.nan, days))
    return days
