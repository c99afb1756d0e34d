"""Covariates of the holidays that a data set has of its own (``features.own_holidays``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shelfcast import calendar
from shelfcast.features.own_holidays import COVARIATES as HOLIDAY_COVARIATES
from shelfcast.features.own_holidays import DAYS_SINCE, DAYS_UNTIL, HOLIDAY, MAX_DAYS, WEEKS_BACK
from shelfcast.ingest.holiday_rows import (
    CALENDAR,
    COMPLETE,
    EVENT,
    FLAG,
    NEW_STORE,
    NO_ROWS,
    WEEKS_AHEAD,
    LoadHolidays,
    changed,
    complete_rows,
    day_rows,
    extras,
    flag_rows,
    named,
    newest,
    of_new_stores,
)
from shelfcast.ingest.last_year_weeks import Floats, weeks_back
from shelfcast.snapshot import COVARIATES, EXTRAS, SALES, STORE_WEEKS

Tables = Mapping[str, pa.Table]
Ints = NDArray[np.int64]

_DAYS_A_WEEK = 7
_WEEKS_OF_DAYS = MAX_DAYS // _DAYS_A_WEEK


def with_holidays(tables: Tables, known: Tables, load: LoadHolidays) -> dict[str, pa.Table]:
    """Returns the tables of a load, with the covariates of holidays if the data set has its own.

    It has its own as soon as a load declares a calendar or has events, or a flag is not as in
    ``shelfcast.calendar``. Flags decide which weeks hold a holiday; in weeks without a flag, named days do.

    Args:
        tables: Good rows of the load by table name of ``shelfcast.snapshot``.
        known: Rows of the data set's newest snapshot by table name.
        load: Holidays that the load names.
    """
    was_own = HOLIDAY in known[COVARIATES.name]["name"].to_pylist()
    flags = NO_ROWS
    if load.has_flags:
        # Before the data set had holidays of its own, its store weeks had all flags.
        before = NO_ROWS if was_own else flag_rows(known[STORE_WEEKS.name])
        flags = newest(before, flag_rows(tables[STORE_WEEKS.name]))
    declares = load.calendar is not None or (load.events is not None and not load.has_no_event)
    if not (was_own or declares or _differ_from_calendar(flags)) or len(tables[SALES.name]) == 0:
        return dict(tables)
    stored = known[EXTRAS.name]
    stores, first, last = _span(tables, known)
    with_new, weekday = [*stores, NEW_STORE], first.weekday()
    said = pa.concat_tables(
        [
            flags,
            complete_rows(_complete_to(load, last, stored), with_new, weekday),
            day_rows(CALENDAR, load.calendar, with_new, weekday, stored),
            day_rows(EVENT, load.events, with_new, weekday, stored),
        ]
    )
    said = newest(of_new_stores(newest(stored, said), stores), said)
    declared = pa.Table.from_pylist([asdict(c) for c in HOLIDAY_COVARIATES], COVARIATES.schema)
    weeks = StoreWeeks.of(stores, newest(stored, said), first, last)
    rows = pa.concat_tables([said, *weeks.covariates()])
    return {
        **tables,
        COVARIATES.name: pa.concat_tables([tables[COVARIATES.name], declared]),
        EXTRAS.name: pa.concat_tables([tables[EXTRAS.name], changed(rows, stored)]),
    }


def _complete_to(load: LoadHolidays, last: date, stored: pa.Table) -> date | None:
    """Returns the last day up to which the load names all days; None if it does not.

    A list of events is complete only where no calendar is: it says nothing about public holidays.
    """
    if load.calendar is not None:
        return load.calendar.last
    if load.events is None or len(named(stored, CALENDAR)) > 0:
        return None
    return max(last, load.events.last)


def _span(tables: Tables, known: Tables) -> tuple[list[int], date, date]:
    """Returns the stores of the data set as it would be after the load, and its first and last week."""
    sales = pa.concat_tables([rows[SALES.name].select(["store", "week"]) for rows in (known, tables)])
    store_weeks = [rows[STORE_WEEKS.name]["store"] for rows in (known, tables)]
    stores = pc.unique(
        pa.chunked_array([c for s in (sales["store"], *store_weeks) for c in s.chunks], pa.int64())
    )
    bounds = pc.min_max(sales["week"])
    return stores.sort().to_pylist(), bounds["min"].as_py(), bounds["max"].as_py()


def _differ_from_calendar(flags: pa.Table) -> bool:
    weeks = {week: calendar.is_holiday(week) for week in pc.unique(flags["week"]).to_pylist()}
    usual = np.array([weeks[week] for week in flags["week"].to_pylist()], dtype=bool)
    return bool((flags["value"].to_numpy() != usual).any())


@dataclass(frozen=True)
class StoreWeeks:
    """Holidays of S stores in W weeks.

    Attributes:
        stores: Store numbers, ascending [S].
        first: First week.
        flags: 1 in weeks with a holiday, 0 in others, NaN where unknown [S, W].
        days: For each store and week, the days before the end of the week by name of a holiday.
    """

    stores: Ints
    first: date
    flags: Floats
    days: list[list[dict[str, int]]]

    @classmethod
    def of(cls, stores: list[int], rows: pa.Table, first: date, last: date) -> StoreWeeks:
        """Returns the holidays that follow from what loads said.

        A flag counts; in a week without one, a named day does. A week without both holds no holiday if named
        days are complete there. A store of which nothing is known in a week is like the others, if these are
        alike. Days more than ``WEEKS_AHEAD`` weeks away from the sales do not count yet.

        Args:
            stores: Store numbers, ascending.
            rows: Rows of ``EXTRAS`` of the data set.
            first: First week with sales.
            last: Last week with sales.
        """
        has_calendar = len(named(rows, CALENDAR)) > 0
        rows = pa.concat_tables(named(rows, name) for name in (FLAG, COMPLETE, CALENDAR, EVENT))
        low, high = first - WEEKS_AHEAD * calendar.WEEK, last + WEEKS_AHEAD * calendar.WEEK
        week = rows["week"]
        is_near = pc.and_(pc.greater_equal(week, pa.scalar(low)), pc.less_equal(week, pa.scalar(high)))
        is_read = pc.and_(
            pc.or_(is_near, pc.equal(rows["name"], COMPLETE)), pc.is_in(rows["store"], pa.array(stores))
        )
        rows = rows.filter(is_read)
        weeks = [first, last, *(min(week, high) for week in pc.unique(rows["week"]).to_pylist())]
        first = min(weeks)
        last_column = (last - first).days // _DAYS_A_WEEK
        index = {store: n for n, store in enumerate(stores)}
        shape = len(stores), (max(weeks) - first).days // _DAYS_A_WEEK + 1
        given, usual = np.full(shape, np.nan), np.full(shape, np.nan)
        days: list[list[dict[str, int]]] = [[{} for _ in range(shape[1])] for _ in stores]
        columns = (rows[name].to_pylist() for name in ("name", "store", "week", "value"))
        for name, store, week, value in zip(*columns, strict=True):
            row, column = index[store], (week - first).days // _DAYS_A_WEEK
            if name == FLAG:
                given[row, column] = value
            elif name == COMPLETE:
                # A calendar ends; a list of events holds those of the weeks with sales, however old it is.
                usual[row, : (column if has_calendar else max(column, last_column)) + 1] = 0
            else:
                days[row][column][name] = int(value)
        has_days = np.array([[bool(found) for found in store] for store in days])
        flags = np.where(np.isfinite(given), given, np.where(has_days, 1.0, usual))
        low, high = np.fmin.reduce(flags), np.fmax.reduce(flags)
        shared = np.where(low == high, low, np.nan)
        return cls(np.array(stores), first, np.where(np.isnan(flags), shared, flags), days)

    def covariates(self) -> Iterator[pa.Table]:
        """Yields the values of each covariate as rows of ``EXTRAS``, of all weeks with a known flag."""
        columns = {covariate.name: np.full(self.flags.shape, np.nan) for covariate in HOLIDAY_COVARIATES}
        # Most stores share their holidays.
        groups: dict[tuple[bytes, str], list[int]] = {}
        for store, days in enumerate(self.days):
            groups.setdefault((self.flags[store].tobytes(), str(days)), []).append(store)
        for group in groups.values():
            for name, values in _covariates(self.flags[group[0]], self.days[group[0]]).items():
                columns[name][group] = values
        stores, known = np.nonzero(np.isfinite(self.flags))
        weeks = calendar.week_range(self.first, self.first + (self.flags.shape[1] - 1) * calendar.WEEK)
        dates = pa.array(weeks, pa.date32()).take(pa.array(known))
        for name, values in columns.items():
            numbers = pa.array(values[stores, known], from_pandas=True)
            yield extras(pa.repeat(name, len(known)), pa.array(self.stores[stores]), dates, numbers)


def _covariates(flags: Floats, days: list[dict[str, int]]) -> dict[str, Floats]:
    """Returns the covariates of a store, each [W]."""
    # The day of a holiday without a name may be any of its week; the last one is taken.
    first = np.array([max(week.values(), default=0) for week in days], dtype=np.float64)
    last = np.array([min(week.values(), default=0) for week in days], dtype=np.float64)
    return {
        HOLIDAY: flags,
        DAYS_UNTIL: _days_to_holiday(flags, -first, range(1, _WEEKS_OF_DAYS + 1)),
        DAYS_SINCE: _days_to_holiday(flags, last, range(1 - _WEEKS_OF_DAYS, 1)),
        WEEKS_BACK: weeks_back(flags, [frozenset(week) for week in days]),
    }


def _days_to_holiday(flags: Floats, moved: Floats, weeks: range) -> Floats:
    """Returns the days to the nearest week with a holiday, ``MAX_DAYS`` at most, NaN where it is unknown.

    Args:
        flags: Flags of a store [W].
        moved: Days to add to those between the ends of the weeks [W].
        weeks: Weeks to look at, relative to each week.
    """
    days = np.full(len(flags), np.inf)
    margin = max(abs(weeks[0]), abs(weeks[-1]))
    padded, added = (np.pad(values, margin, constant_values=np.nan) for values in (flags, moved))
    for n in sorted(weeks, key=abs, reverse=True):
        there = slice(margin + n, margin + n + len(flags))
        distance = _DAYS_A_WEEK * abs(n) + added[there]
        days = np.where(padded[there] == 1, distance, np.where(np.isnan(padded[there]), np.nan, days))
    nearest: Floats = np.minimum(days, float(MAX_DAYS))
    return nearest
