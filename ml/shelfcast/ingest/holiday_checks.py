"""Data-quality checks of holidays, on the data set as it would be after the load."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.features.own_holidays import HOLIDAY
from shelfcast.ids import Ids
from shelfcast.ingest.holiday_rows import CALENDAR, EVENT, LoadHolidays, named, newest
from shelfcast.ingest.quality import EXAMPLES, Check
from shelfcast.ingest.sheet import whole_numbers
from shelfcast.snapshot import COVARIATES, EXTRAS, IDS, SALES

Tables = Mapping[str, pa.Table]

#: Weeks after the newest one whose holidays should be known: a quarter.
HOLIDAY_WEEKS_AHEAD = 13
_DAYS_A_WEEK = 7


def check_holidays(tables: Tables, known: Tables, load: LoadHolidays) -> list[Check]:
    """Checks that the data say which weeks hold holidays, of each store and for the coming weeks.

    Args:
        tables: Rows of the load, with the covariates of holidays, by table name of ``shelfcast.snapshot``.
        known: Rows of the data set's newest snapshot by table name.
        load: Holidays that the load names.
    """
    is_own = any(HOLIDAY in rows[COVARIATES.name]["name"].to_pylist() for rows in (known, tables))
    unsaid = [] if is_own or load.has_flags else ["declare holidays, like --holidays DE (docs/data.md)"]
    return [
        Check("holiday-source", len(unsaid), unsaid),
        _events_empty(known, load),
        _holidays_ahead(tables, known) if is_own else Check("holidays-ahead", 0),
    ]


def _events_empty(known: Tables, load: LoadHolidays) -> Check:
    earlier = named(known[EXTRAS.name], EVENT).group_by(["name", "week"]).aggregate([])
    effect = f"the {len(earlier)} earlier ones are cancelled" if len(earlier) else "there were none before"
    return Check("events-empty", int(load.has_no_event), [f"the list of events has no row: {effect}"])


def _holidays_ahead(tables: Tables, known: Tables) -> Check:
    """Checks that each store's weeks with sales, and those after the newest one, hold a holiday or none."""
    sales = pa.concat_tables([t[SALES.name].select(["store", "week"]) for t in (known, tables)])
    if len(sales) == 0:
        return Check("holidays-ahead", 0)
    pairs = sales.group_by(["store", "week"]).aggregate([])
    wanted = pc.max(pairs["week"]).as_py() + timedelta(weeks=HOLIDAY_WEEKS_AHEAD)
    stored = [t[EXTRAS.name].filter(pc.field("name") == HOLIDAY) for t in (known, tables)]
    flags = pa.concat_tables(stored).filter(pc.field("value").is_valid())
    ids = Ids.of(pa.concat_tables([t[IDS.name] for t in (known, tables)]))
    days = named(newest(known[EXTRAS.name], tables[EXTRAS.name]), CALENDAR)
    with_calendar = set(days["store"].to_pylist())
    examples = []
    for store in pairs["store"].unique().sort().to_pylist():
        weeks, found = (whole_numbers(t.filter(pc.field("store") == store), "week") for t in (pairs, flags))
        ahead = _number(wanted) - _DAYS_A_WEEK * np.arange(HOLIDAY_WEEKS_AHEAD)
        unknown = np.setdiff1d(np.concatenate([weeks, ahead]), found)
        if len(unknown) == 0:
            continue
        text = f"known to {_week(found.max())}, not to {wanted}" if len(found) else "unknown"
        if len(found) and unknown[0] < found.max():
            text = f"unknown in {len(unknown)} of its weeks, {_week(unknown[0])} to {_week(unknown[-1])}"
        if with_calendar and store not in with_calendar:
            text += "; it has no calendar: declare holidays again, with its country"
        examples.append(f"store {ids.id('store', store)}: {text}")
    return Check("holidays-ahead", len(examples), examples[:EXAMPLES])


def _number(week: date) -> int:
    return (week - date(1970, 1, 1)).days


def _week(number: np.int64) -> str:
    return str(np.datetime64(int(number), "D"))
