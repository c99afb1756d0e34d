"""Holidays of countries and regions, from the library ``holidays``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from difflib import get_close_matches
from functools import cache

from shelfcast.contracts.results import ErrorType
from shelfcast.contracts.specs import HolidayRegion
from shelfcast.ingest.holiday_rows import NamedDays
from shelfcast.job import UserError

_LANGUAGE = "en_US"
#: Additions of the library to the name of a day, which differ from year to year.
_ADDITION = re.compile(r" \((observed|estimated|substituted [^)]*)\)")


@cache
def known_regions() -> Mapping[str, tuple[str, ...]]:
    """Returns the regions of each country of which there is a calendar, by its ISO 3166 code."""
    from holidays import list_supported_countries

    return {country: tuple(regions) for country, regions in list_supported_countries().items()}


def check_regions(regions: Iterable[HolidayRegion], where: str, error: ErrorType) -> None:
    """Checks that the library has a calendar of each region.

    Args:
        regions: Countries by their ISO 3166 codes, and parts of them by the library's codes.
        where: Name of the file or input key with the declaration, for messages.
        error: Type of the error.

    Raises:
        UserError: It names what is unknown and what is close to it.
    """
    known = known_regions()
    issues = []
    for region in dict.fromkeys(regions):
        if region.country not in known:
            issues.append(f"there is no country {region.country}{_close(region.country, known)}")
        elif region.region is not None and region.region not in known[region.country]:
            parts = known[region.country]
            has = f"; it has {', '.join(parts)}" if parts else ", nor any other"
            issues.append(f"{region.country} has no region {region.region}{has}")
    if issues:
        raise UserError(
            error,
            f"{where}: {'; '.join(issues)}. A country is an ISO 3166 code like DE, a region a part like BY",
        )


@cache
def named_days(region: HolidayRegion, first: date, last: date) -> tuple[tuple[date, str], ...]:
    """Returns the public holidays from the first to the last day, with their names, in order.

    A day that replaces a holiday, and an estimated one, has the name of the holiday.
    """
    # The import takes time, and few data sets need it.
    from holidays import country_holidays

    years = range(first.year, last.year + 1)
    found = country_holidays(region.country, subdiv=region.region, years=years, language=_language(region))
    return tuple(
        (day, _ADDITION.sub("", name))
        for day in sorted(found)
        if first <= day <= last
        for name in found.get_list(day)
    )


@cache
def _language(region: HolidayRegion) -> str | None:
    """Returns the language of the names: English, or the usual one of a country without English names."""
    from holidays import list_localized_countries

    languages = list_localized_countries().get(region.country, [])
    return _LANGUAGE if _LANGUAGE in languages else None


def _close(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word.upper(), known, n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def calendar_days(
    default: HolidayRegion | None,
    by_store: Mapping[int, HolidayRegion],
    stores: Iterable[int],
    first: date,
    last: date,
) -> NamedDays:
    """Returns the holidays of stores from the first to the last day.

    Args:
        default: Region of stores without one of their own; None if there is none.
        by_store: Regions of single stores.
        stores: Stores of the data set.
        first: First day.
        last: Last day.
    """
    regions = {store: by_store.get(store, default) for store in stores}
    days = {s: named_days(region, first, last) for s, region in regions.items() if region is not None}
    return NamedDays(days, last)
