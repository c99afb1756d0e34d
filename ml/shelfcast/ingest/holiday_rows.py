"""Holidays that loads name, as rows of ``EXTRAS`` that no feature reads.

A data set keeps the flags of weeks, and the named days of calendars and of events. So a later load needs to
give none of them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from shelfcast import calendar
from shelfcast.snapshot import EXTRAS, STORE_AS_A_WHOLE

#: Names of the rows, or how they begin. Users' columns have no spaces in their names.
FLAG = "holiday flag"
COMPLETE = "named days complete"
CALENDAR, EVENT = "calendar day: ", "event: "
#: Weeks after the last one with sales whose holidays the data set gets, so that a year of loads without a
#: declaration finds them.
WEEKS_AHEAD = 104
NO_ROWS = EXTRAS.schema.empty_table()
#: Number in place of a store that is yet to come; ids begin with 1.
NEW_STORE = 0
_KEY = ["name", "store", "dept", "week"]


@dataclass(frozen=True)
class NamedDays:
    """Days with a name, of each store.

    Attributes:
        by_store: Days and names by store; a store without days may be left out. Those of ``NEW_STORE`` are of
            each store that a later load brings.
        last: Last day up to which no other day has a name.
        everywhere: Days and names of all stores.
    """

    by_store: Mapping[int, Sequence[tuple[date, str]]]
    last: date
    everywhere: Sequence[tuple[date, str]] = ()


@dataclass(frozen=True)
class LoadHolidays:
    """Holidays that a load names.

    Attributes:
        has_flags: Whether the flags of its weeks are the source's own.
        calendar: Days of the declared calendars; None if none is declared.
        events: Its events, all that there are; None if it has no list of events.
    """

    has_flags: bool
    calendar: NamedDays | None = None
    events: NamedDays | None = None

    @property
    def has_no_event(self) -> bool:
        """Whether the load has a list of events without any."""
        return self.events is not None and not (self.events.everywhere or self.events.by_store)


def flag_rows(store_weeks: pa.Table) -> pa.Table:
    """Returns the flags of rows of ``STORE_WEEKS``."""
    flags = store_weeks["is_holiday"].cast(pa.uint8())
    return extras(pa.repeat(FLAG, len(flags)), store_weeks["store"], store_weeks["week"], flags)


def day_rows(
    prefix: str, days: NamedDays | None, stores: Sequence[int], weekday: int, known: pa.Table
) -> pa.Table:
    """Returns named days: how many days before the end of its week the first one of a name lies.

    Days that the data set had, and that are not among them any more, get null.

    Args:
        prefix: ``CALENDAR`` or ``EVENT``.
        days: The days; None if the load says nothing about them.
        stores: All stores of the data set, and ``NEW_STORE``.
        weekday: Weekday on which weeks end; Monday is 0.
        known: Rows of ``EXTRAS`` of the data set's newest snapshot.
    """
    if days is None:
        return NO_ROWS
    values: dict[tuple[str, int, date], int | None] = {}
    for store in stores:
        for day, name in (*days.everywhere, *days.by_store.get(store, ())):
            week = calendar.week_of(day, weekday)
            key = (prefix + name, store, week)
            values[key] = max(values.get(key) or 0, (week - day).days)
    for row in named(known, prefix).select(["name", "store", "week"]).to_pylist():
        values.setdefault((row["name"], row["store"], row["week"]), None)
    return extras(
        pa.array([name for name, _, _ in values], pa.string()),
        pa.array([store for _, store, _ in values], pa.int64()),
        pa.array([week for _, _, week in values], pa.date32()),
        pa.array(list(values.values()), pa.float64()),
    )


def complete_rows(to: date | None, stores: Sequence[int], weekday: int) -> pa.Table:
    """Returns the rows that say up to which week named days are complete; none if ``to`` is None."""
    if to is None:
        return NO_ROWS
    count, week = len(stores), pa.scalar(calendar.week_of(to, weekday), pa.date32())
    return extras(pa.repeat(COMPLETE, count), pa.array(stores), pa.repeat(week, count), pa.repeat(1, count))


def of_new_stores(rows: pa.Table, stores: Sequence[int]) -> pa.Table:
    """Returns the named days of ``NEW_STORE`` for each store that has none of its own yet.

    Where there are calendars, but none for new stores, what such a store's holidays are is unknown.

    Args:
        rows: Rows of ``EXTRAS`` of the data set.
        stores: All stores of the data set.
    """
    days, events, complete = (named(rows, name) for name in (CALENDAR, EVENT, COMPLETE))
    is_new = pc.field("store") == NEW_STORE
    if len(days) > 0 and len(days.filter(is_new)) == 0:
        return NO_ROWS
    given = pa.concat_tables([days, events, complete]).filter(is_new)
    new = sorted(set(stores).difference(complete["store"].to_pylist()))
    rows_of = (
        extras(
            given["name"], pa.repeat(pa.scalar(store, pa.int64()), len(given)), given["week"], given["value"]
        )
        for store in new
    )
    return pa.concat_tables([NO_ROWS, *rows_of])


def extras(name: pa.Array, store: pa.Array, week: pa.Array, value: pa.Array) -> pa.Table:
    """Returns rows of ``EXTRAS`` of stores and weeks."""
    dept = pa.repeat(STORE_AS_A_WHOLE, len(name))
    return pa.table({"name": name, "store": store, "dept": dept, "week": week, "value": value}).cast(
        EXTRAS.schema
    )


def named(rows: pa.Table, prefix: str) -> pa.Table:
    """Returns the rows whose names begin with the prefix, but those that were taken back."""
    return rows.filter(pc.and_(pc.starts_with(rows["name"], prefix), rows["value"].is_valid()))


def newest(known: pa.Table, rows: pa.Table) -> pa.Table:
    """Returns the rows of both, of a key in both that of ``rows``."""
    both = pa.concat_tables([known, rows])
    numbered = both.append_column("row", pa.array(range(len(both)), pa.int64()))
    last = numbered.group_by(_KEY).aggregate([("row", "max")])["row_max"]
    return both.take(last.combine_chunks().sort())


def changed(rows: pa.Table, known: pa.Table) -> pa.Table:
    """Returns the rows with a new key, or with another value than the data set has."""
    before = known.rename_columns([*_KEY, "before"]).append_column("known", pa.repeat(True, len(known)))
    joined = rows.join(before, _KEY, join_type="left outer")
    value, earlier = joined["value"], joined["before"]
    same = pc.or_(pc.equal(value, earlier).fill_null(False), pc.and_(pc.is_null(value), pc.is_null(earlier)))
    is_changed = pc.invert(pc.and_(same, joined["known"].fill_null(False)))
    return joined.filter(is_changed).select(EXTRAS.schema.names).cast(EXTRAS.schema)
