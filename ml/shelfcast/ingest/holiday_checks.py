"""Data-quality checks of holidays, on the data set as it would be after the load."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.features.own_holidays import HOLIDAY
from shelfcast.ids import Ids
from shelfcast.ingest.holiday_rows import CALENDAR, EVENT, LoadHolidays, named, newest
from shelfcast.ingest.open_dates import OpenDates
from shelfcast.ingest.quality import EXAMPLES, Check
from shelfcast.ingest.sheet import store_week, whole_numbers
from shelfcast.snapshot import COVARIATES, EXTRAS, IDS, MERGES, SALES

Tables = Mapping[str, pa.Table]

#: Weeks after the newest one whose holidays should be known: a quarter.
HOLIDAY_WEEKS_AHEAD = 13


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
    wanted = pc.max(sales["week"]).as_py() + timedelta(weeks=HOLIDAY_WEEKS_AHEAD)
    merges = pa.concat_tables([t[MERGES.name] for t in (known, tables)])
    merged = merges.filter(pc.field("of") == "store")["number"].to_numpy()
    stores = np.setdiff1d(whole_numbers(sales, "store"), merged)
    ahead = [wanted - timedelta(weeks=n) for n in range(HOLIDAY_WEEKS_AHEAD)]
    coming = {"store": np.repeat(stores, len(ahead)), "week": pa.array(ahead * len(stores), pa.date32())}
    stored = [t[EXTRAS.name].filter(pc.field("name") == HOLIDAY) for t in (known, tables)]
    flags = pa.concat_tables(stored).filter(pc.field("value").is_valid())
    weeks = pa.concat_tables([sales, pa.table(coming).cast(sales.schema)])
    dates = OpenDates.of(known, tables)
    is_outside = dates.is_outside(whole_numbers(weeks, "store"), whole_numbers(weeks, "week"))
    weeks = weeks.filter(pa.array(~np.isin(store_week(weeks), store_week(flags)) & ~is_outside))
    late = np.unique(whole_numbers(weeks, "store")).tolist()
    ids = Ids.of(pa.concat_tables([t[IDS.name] for t in (known, tables)]))
    days = (t[EXTRAS.name].filter(pc.starts_with(t[EXTRAS.name]["name"], CALENDAR)) for t in (known, tables))
    with_calendar = set(named(newest(*days), CALENDAR)["store"].unique().to_pylist())
    examples = []
    for store in late[:EXAMPLES]:
        unknown, found = (t.filter(pc.field("store") == store)["week"].unique() for t in (weeks, flags))
        last = pc.max(found).as_py()
        text = "unknown" if last is None else f"known to {last}, not to {wanted}"
        if last is not None and pc.min(unknown).as_py() < last:
            text = f"unknown in {len(unknown)} of its weeks, {pc.min(unknown)} to {pc.max(unknown)}"
        if with_calendar and store not in with_calendar:
            text += "; it has no calendar: declare holidays again, with its country"
        examples.append(f"store {ids.id('store', store)}: {text}")
    return Check("holidays-ahead", len(late), examples)
