"""Guess of the country whose public holidays count, from columns of countries or currencies, and from flags.

A guess is shown and never becomes part of the declaration: a calendar changes every forecast.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import astuple, replace
from datetime import date, timedelta
from functools import cache, partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.calendar import WEEK, week_of
from shelfcast.contracts.specs import HolidayRegion
from shelfcast.ingest.cell_rules import MISSING
from shelfcast.ingest.column_search import joined
from shelfcast.ingest.holiday_calendar import known_regions, named_days
from shelfcast.inspection.columns import Column
from shelfcast.inspection.roles import Guess, names_of
from shelfcast.snapshot import STORE_WEEKS

_COUNTRY_WORDS = frozenset({"country", "countrycode", "land", "nation"})
_CURRENCY_WORDS = frozenset({"currency", "currencycode", "ccy", "waehrung", "devise", "moneda"})
#: Share of the weeks, flagged or with a public holiday, that must be both.
_MIN_SHARE = 0.6
#: Number of flagged weeks from which they tell a country.
_MIN_WEEKS = 5
#: Number of countries that are shown, of which many have nearly the same holidays.
_SHOWN = 3


def guess_countries(columns: Sequence[Column], guess: Guess, tables: Mapping[str, pa.Table]) -> Iterator[str]:
    """Yields a sentence for each sign of a country.

    Args:
        columns: Columns of the file of sales.
        guess: Roles of these columns.
        tables: Good rows by table name of ``shelfcast.snapshot``, with flags of their own or the calendar's.
    """
    for column in columns:
        if codes := _codes(column):
            yield from _of_column(column, codes, columns, guess)
    yield from _of_flags(tables[STORE_WEEKS.name]) if "holiday" in guess.columns else ()


def _codes(column: Column) -> dict[str, str]:
    """Returns the country of each cell of a column of countries or currencies, as far as it has one."""
    plain = re.sub(r"[^a-z]", "", column.name.casefold())
    find = _country if plain in _COUNTRY_WORDS else _country_of_currency
    if plain not in _COUNTRY_WORDS | _CURRENCY_WORDS:
        return {}
    # NA is Namibia, or unknown.
    cells = (cell for cell in pc.unique(column.cells).to_pylist() if cell not in MISSING)
    return {cell: code for cell in cells if (code := find(re.sub(r"[^A-Z]", "", cell.upper()))) is not None}


def _country(name: str) -> str | None:
    return _names_of_countries().get(name)


def _country_of_currency(code: str) -> str | None:
    """Returns the country with which the code of a currency begins (ISO 4217); that of EUR has none."""
    return code[:2] if len(code) == 3 and code[:2] in known_regions() else None


def _of_column(
    column: Column, codes: Mapping[str, str], columns: Sequence[Column], guess: Guess
) -> Iterator[str]:
    unclear = [cell or "an empty cell" for cell in pc.unique(column.cells).to_pylist() if cell not in codes]
    if unclear:
        yield f"{column.name} may tell countries, but {', '.join(unclear[:_SHOWN])} is of no one country"
        return
    usual, *others = Counter(codes[cell] for cell in column.cells.to_pylist()).most_common()
    if not others:
        yield f"guess, as {column.name} is {column.example}: --holidays {usual[0]}"
        return
    by_name = {other.name: other.cells for other in columns}
    if "store" not in guess.columns:
        yield f"{column.name} has several countries, but no column is a store"
        return
    stores = joined([by_name[name] for name in names_of(guess.columns["store"])])
    pairs = pa.table({"store": stores, "cell": column.cells}).group_by(["store", "cell"]).aggregate([])
    of_store = {row["store"]: codes[row["cell"]] for row in pairs.to_pylist()}
    if len(of_store) < len(pairs):
        yield f"{column.name} has several countries of one store, so none is its country"
        return
    own = {store: {"country": code} for store, code in sorted(of_store.items()) if code != usual[0]}
    declared: dict[str, Any] = {"holidays": {"country": usual[0], "stores": own}}
    yield f"guess from {column.name}: {json.dumps(declared, ensure_ascii=False)}"


def _of_flags(store_weeks: pa.Table) -> Iterator[str]:
    """Yields the countries whose public holidays lie in nearly the weeks that are flagged."""
    shares = store_weeks.select(["week", "is_holiday"]).group_by("week").aggregate([("is_holiday", "mean")])
    share_of = dict(zip(shares["week"].to_pylist(), shares["is_holiday_mean"].to_pylist(), strict=True))
    flagged = {week for week, share in share_of.items() if share >= 1 / 2}
    if len(flagged) < _MIN_WEEKS:
        return
    weeks_of = partial(_holiday_weeks, weeks=share_of)

    def share(region: HolidayRegion) -> float:
        return len(flagged & weeks_of(region)) / len(flagged | weeks_of(region))

    # Each country has its code of three letters, too.
    codes = [code for code in known_regions() if len(code) == 2]
    best = _best([HolidayRegion(country=code) for code in codes], share)[:_SHOWN]
    # A part of a country is a guess only where its own holidays are flagged, too.
    parts = [replace(country, region=part) for country in best for part in known_regions()[country.country]]
    best = _best([*best, *parts], share)[:_SHOWN]
    if share(best[0]) < _MIN_SHARE:
        return
    public = weeks_of(best[0])
    both = len(flagged & public)
    options = " or ".join(f"--holidays {'-'.join(filter(None, astuple(region)))}" for region in best)
    yield (
        f"guess from the flags, of which {both} of {len(flagged)} ({both / len(flagged):.0%}) lie in one of "
        f"the {len(public)} weeks with a public holiday: {options}"
    )


def _best(regions: Sequence[HolidayRegion], share: Callable[[HolidayRegion], float]) -> list[HolidayRegion]:
    """Returns all regions with the largest share; of a country and its parts the country."""
    shares = [share(region) for region in regions]
    best = [region for region, value in zip(regions, shares, strict=True) if value == max(shares)]
    whole = {region.country for region in best if region.region is None}
    return [region for region in best if region.region is None or region.country not in whole]


def _holiday_weeks(region: HolidayRegion, weeks: Collection[date]) -> set[date]:
    first, last = min(weeks), max(weeks)
    days = named_days(region, first - WEEK + timedelta(days=1), last)
    return {week for day, _ in days if (week := week_of(day, last.weekday())) in weeks}


@cache
def _names_of_countries() -> Mapping[str, str]:
    """Returns the ISO code of each country by its names and codes, in capitals without spaces."""
    from holidays.registry import COUNTRIES

    names: dict[str, str] = {}
    for key, (_, code, *others) in COUNTRIES.items():
        names |= {re.sub(r"[^A-Z]", "", name.upper()): code for name in (key, code, *others)}
    return names
