"""Calendars that a declaration chooses for the stores of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from difflib import get_close_matches

import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.calendar import WEEK
from shelfcast.contracts.results import ErrorType
from shelfcast.contracts.specs import HolidayRegion, Holidays
from shelfcast.ids import plain_id
from shelfcast.ingest.holiday_calendar import calendar_days, check_regions
from shelfcast.ingest.holiday_rows import NEW_STORE, WEEKS_AHEAD, NamedDays
from shelfcast.ingest.quality import first_names
from shelfcast.job import UserError
from shelfcast.snapshot import IDS, SALES

Tables = Mapping[str, pa.Table]


def declared_calendar(
    holidays: Holidays | None, where: str, error: ErrorType, tables: Tables, known: Tables
) -> NamedDays | None:
    """Returns the days of the declared calendars, for the stores of the data set as after the load.

    Args:
        holidays: Declaration; None if there is none.
        where: Name of the file or input key with the declaration, for messages.
        error: Type of the errors about it.
        tables: Good rows of the load by table name of ``shelfcast.snapshot``.
        known: Rows of the data set's newest snapshot by table name.

    Raises:
        UserError: A country, a region or a store is unknown, or a store has no calendar.
    """
    if holidays is None:
        return None
    where = f"holidays of {where}"
    by_id = holidays.stores or {}
    default = None
    if holidays.country is not None:
        default = HolidayRegion(country=holidays.country, region=holidays.region)
    elif holidays.region is not None:
        raise UserError(error, f"{where}: the region {holidays.region} needs a country")
    check_regions([*([default] if default else []), *by_id.values()], where, error)
    ids = pa.concat_tables([rows[IDS.name] for rows in (known, tables)]).to_pylist()
    sales = pa.concat_tables([rows[SALES.name].select(["store", "week"]) for rows in (known, tables)])
    stores = pc.unique(sales["store"]).to_pylist()
    numbers = {row["id"]: row["number"] for row in ids if row["of"] == "store"}
    # Loads of version 0.1.0 named no ids.
    unnamed = set(stores).difference(numbers.values())
    numbers |= {plain_id("store", number): number for number in sorted(unnamed)}
    _check_stores(by_id, default, numbers, stores, where, error)
    if not stores:
        return None
    bounds = pc.min_max(sales["week"])
    first: date = bounds["min"].as_py() - WEEK + timedelta(days=1)
    last: date = bounds["max"].as_py() + WEEKS_AHEAD * WEEK
    by_store = {numbers[id_]: r for id_, r in by_id.items()}
    return calendar_days(default, by_store, [*numbers.values(), NEW_STORE], first, last)


def _check_stores(
    by_id: Mapping[str, HolidayRegion],
    default: HolidayRegion | None,
    numbers: Mapping[str, int],
    stores: list[int],
    where: str,
    error: ErrorType,
) -> None:
    issues = []
    for id_ in by_id:
        if id_ not in numbers:
            close = get_close_matches(id_, numbers, n=1)
            issues.append(f"the data have no store {id_}" + (f"; did you mean {close[0]}?" if close else ""))
    if default is None:
        undescribed = set(stores) - {numbers[id_] for id_ in by_id if id_ in numbers}
        without = [id_ for id_, number in numbers.items() if number in undescribed]
        if without:
            names = first_names(without)
            issues.append(f"stores {names} have no calendar; give `country` for all other stores")
    if issues:
        raise UserError(error, f"{where}: {'; '.join(issues)}")
