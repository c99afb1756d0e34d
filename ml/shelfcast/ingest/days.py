"""Days and transactions, summed to weeks (docs/data.md)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfcast.calendar import week_of
from shelfcast.ingest.quality import EXAMPLES
from shelfcast.ingest.sheet import store_week

Ints = npt.NDArray[np.int64]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SUNDAY = 6
#: Number of weeks from which the days on which a store never sells count as days on which it is closed.
_WEEKS_OF_HABIT = 4
#: Share of a store's weeks that have a weekday if the store is usually open on it.
_USUAL = 0.5


@dataclass(frozen=True)
class PartialWeeks:
    """Weeks that are left out, since some of their days are not in the data.

    Attributes:
        count: Number of stores' weeks.
        examples: The first of them in words.
    """

    count: int = 0
    examples: tuple[str, ...] = ()


def today_in(time_zone: str | None) -> date:
    """Returns the current day in a zone, by default in UTC."""
    return datetime.now(ZoneInfo(time_zone or "UTC")).date()


def with_weeks(rows: pa.Table, weekday: int) -> pa.Table:
    """Returns the rows with the last day of its week in place of each day.

    Args:
        rows: Rows with ``week``, a day.
        weekday: Weekday on which weeks end; Monday is 0.
    """
    days = rows["week"].combine_chunks().dictionary_encode()
    weeks = pa.array([week_of(day, weekday) for day in days.dictionary.to_pylist()], pa.date32())
    return rows.set_column(rows.column_names.index("week"), "week", weeks.take(days.indices))


def sum_to_weeks(rows: pa.Table, key: Sequence[str], last: Collection[str]) -> pa.Table:
    """Returns one row for each key: sales are summed, flags are true if one is, covariates are averaged.

    Args:
        rows: Rows with weeks, in ascending order of their days.
        key: Columns of the key, ``week`` among them.
        last: Covariates of which the last known value of the week counts, not the mean.
    """
    others = [name for name in rows.column_names if name not in key]
    how = {"weekly_sales": "sum", "is_holiday": "any", **dict.fromkeys(last, "last")}
    # One thread, so that a sum has the same bits every time.
    grouped = pa.TableGroupBy(rows, list(key), use_threads=False).aggregate(
        [(name, how.get(name, "mean")) for name in others]
    )
    named = grouped.rename_columns([*key, *others])
    return named.select(rows.column_names).sort_by([(name, "ascending") for name in key])


def in_order_of_days(rows: pa.Table) -> pa.Table:
    """Returns the rows by day; rows of a day keep their order."""
    return rows.take(np.argsort(rows["week"].cast(pa.int32()).to_numpy(), kind="stable"))


def find_partial_weeks(
    rows: pa.Table, weekday: int, today: date, names: Mapping[int, str]
) -> tuple[pa.Table, PartialWeeks]:
    """Returns (store, week) of the weeks of sales that are not whole, and a report of them.

    The first and the last week of a store are not whole if a day before its first sale or after its last one
    is a weekday on which the store usually sells; so are those of all stores together. The week that holds
    today is never whole.

    Args:
        rows: Sales with ``store`` and ``week``, a day.
        weekday: Weekday on which weeks end.
        today: Current day in the zone of the stores.
        names: Id of each store, for the report.
    """
    pairs = rows.select(["store", "week"]).group_by(["store", "week"]).aggregate([])
    store, day = pairs["store"].to_numpy(), pairs["week"].cast(pa.int32()).to_numpy().astype(np.int64)
    order = np.lexsort((day, store))
    numbers, first = np.unique(store[order], return_index=True)
    found: dict[tuple[int, int], str] = {}
    of_all = dict(_missing_days(np.unique(day), weekday))
    running = _day_number(week_of(today, weekday))
    # Without any row, split returns one part for no store.
    for number, days in zip(numbers, np.split(day[order], first[1:]), strict=False):
        weeks = np.unique(_week_ends(days, weekday))
        partial = {week: text for week, text in of_all.items() if week in weeks}
        partial |= dict(_missing_days(days, weekday))
        if running in weeks:
            partial[running] = "the week is not over"
        found |= {(int(number), int(week)): text for week, text in partial.items()}
    left_out = pa.table(
        {
            "store": pa.array([number for number, _ in found], pa.int64()),
            "week": pa.array([week for _, week in found], pa.int32()).cast(pa.date32()),
        }
    )
    examples = (
        f"store {names[number]} week to {np.datetime64(week, 'D')}: {text}"
        for (number, week), text in found.items()
    )
    return left_out, PartialWeeks(len(found), tuple(examples)[:EXAMPLES])


def without(rows: pa.Table, left_out: pa.Table) -> pa.Table:
    """Returns the rows whose (store, week) is not left out, in their order."""
    if len(left_out) == 0:
        return rows
    return rows.filter(pa.array(~np.isin(store_week(rows), store_week(left_out))))


def with_common_flags(sales: pa.Table, weeks: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Returns both tables with the flag of a store's week that is true if it is in one of them."""
    flags = pa.concat_tables([table.select(["store", "week", "is_holiday"]) for table in (sales, weeks)])
    true = np.unique(store_week(flags.filter(flags["is_holiday"])))
    return _flagged(sales, true), _flagged(weeks, true)


def _flagged(rows: pa.Table, true: Ints) -> pa.Table:
    flag = pa.array(np.isin(store_week(rows), true))
    return rows.set_column(rows.column_names.index("is_holiday"), "is_holiday", flag)


def _missing_days(days: Ints, weekday: int) -> Iterator[tuple[int, str]]:
    """Yields the first and the last week if they lack usual weekdays at their ends, with these days."""
    if len(days) == 0:
        return
    ends = _week_ends(days, weekday)
    weeks = np.unique(ends)
    pairs = np.unique(np.stack([ends, weekdays_of(days)]), axis=1)
    share = np.bincount(pairs[1], minlength=7) / len(weeks)
    usual = share >= _USUAL if len(weeks) >= _WEEKS_OF_HABIT else np.ones(7, dtype=bool)
    first, last = int(days.min()), int(days.max())
    before = range(int(weeks[0]) - 6, first)
    after = range(last + 1, int(weeks[-1]) + 1)
    for week, missing in ((int(weeks[0]), before), (int(weeks[-1]), after)):
        names = [WEEKDAYS[(day + 3) % 7] for day in missing if usual[(day + 3) % 7]]
        if names:
            yield week, f"no sales on {names[0]}" + (f" to {names[-1]}" if names[1:] else "")


def _week_ends(days: Ints, weekday: int) -> Ints:
    return days + (weekday - weekdays_of(days)) % 7


def weekdays_of(days: Ints) -> Ints:
    """Returns 0 for Monday to 6; 1970-01-01 was a Thursday."""
    return (days + 3) % 7


def _day_number(day: date) -> int:
    return (day - date(1970, 1, 1)) // timedelta(days=1)
