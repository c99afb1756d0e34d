"""Holidays of countries and regions, and what becomes of them in a data set."""

from __future__ import annotations

from datetime import date

import pytest

from shelfcast.contracts.specs import HolidayRegion
from shelfcast.ingest.holiday_calendar import calendar_days, check_regions, named_days
from shelfcast.job import UserError

YEARS = date(2024, 1, 1), date(2027, 12, 31)


def calendar_of(country: str, region: str | None = None) -> HolidayRegion:
    return HolidayRegion(country=country, region=region)


def dates(region: HolidayRegion, name: str) -> list[str]:
    return [day.isoformat() for day, found in named_days(region, *YEARS) if found == name]


def test_regions_have_their_own_days() -> None:
    assert dates(calendar_of("DE", "BY"), "Epiphany")
    assert not dates(calendar_of("DE"), "Epiphany")
    assert dates(calendar_of("DE"), "Good Friday") == ["2024-03-29", "2025-04-18", "2026-04-03", "2027-03-26"]


@pytest.mark.parametrize(
    ("region", "name"),
    [
        (calendar_of("AE"), "Eid al-Fitr"),
        (calendar_of("IN"), "Diwali"),
        (calendar_of("SG"), "Chinese New Year"),
        (calendar_of("CN"), "Chinese New Year (Spring Festival)"),
        (calendar_of("GB"), "Boxing Day"),
        (calendar_of("US"), "Independence Day"),
    ],
)
def test_a_name_is_the_same_each_year(region: HolidayRegion, name: str) -> None:
    """Neither an estimate nor a day off in lieu of the holiday changes it."""
    assert {day[:4] for day in dates(region, name)} == {"2024", "2025", "2026", "2027"}


def test_the_first_and_the_last_day_count() -> None:
    days = named_days(calendar_of("DE"), date(2024, 12, 25), date(2025, 1, 1))
    assert [day.isoformat() for day, _ in days] == ["2024-12-25", "2024-12-26", "2025-01-01"]
    assert named_days(calendar_of("DE"), date(2024, 12, 27), date(2024, 12, 31)) == ()


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (calendar_of("XX"), "shelfcast.json: there is no country XX"),
        (calendar_of("de"), "did you mean DE"),
        (calendar_of("DE", "XY"), "DE has no region XY; it has BB, BE, BW, BY"),
    ],
)
def test_a_region_that_does_not_exist_is_refused_with_those_that_do(
    region: HolidayRegion, message: str
) -> None:
    with pytest.raises(UserError, match=message) as raised:
        check_regions([calendar_of("FR"), region], "shelfcast.json", "BadData")
    assert raised.value.type == "BadData"


def test_stores_have_the_calendar_of_their_region() -> None:
    days = calendar_days(calendar_of("DE"), {2: calendar_of("DE", "BY")}, [1, 2], *YEARS).by_store
    assert set(days[2]) - set(days[1]) >= {(date(2026, 1, 6), "Epiphany")}
    assert calendar_days(None, {2: calendar_of("FR")}, [1, 2], *YEARS).by_store.keys() == {2}
