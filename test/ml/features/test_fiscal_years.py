"""A retail calendar of 4-4-5 weeks beside the dates: its year of 53 weeks shifts nothing."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from shelfcast import calendar
from shelfcast.calendar import WEEK, calendar_features, week_range
from shelfcast.contracts.specs import HolidayRegion, LongSource
from shelfcast.features import sales_history as formulas
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.training_data import grid_of
from shelfcast.ingest.holiday_calendar import named_days
from shelfcast.ingest.last_year_weeks import weeks_back
from shelfcast.ingest.long_source import read_long_source
from shelfcast.snapshot import SALES, empty_tables

#: First days of retail years of the National Retail Federation; 2023 has 53 weeks, to 2024-02-03.
YEARS = {2022: date(2022, 1, 30), 2023: date(2023, 1, 29), 2024: date(2024, 2, 4), 2025: date(2025, 2, 2)}
WEEKS = week_range(date(2022, 2, 5), date(2025, 6, 28))
WEEK_53 = date(2024, 2, 3)


def fiscal(week: date) -> tuple[int, int]:
    year = max(year for year, first in YEARS.items() if first <= week)
    return year, (week - YEARS[year]).days // 7 + 1


def sales_of(week: date) -> int:
    return (week - WEEKS[0]).days // 7 + 1000


def test_last_year_is_364_days_before_across_week_53(tmp_path: Path) -> None:
    assert fiscal(WEEK_53) == (2023, 53)
    lines = ["store,dept,fiscal_year,fiscal_week,week,sales"]
    for week in WEEKS:
        year, number = fiscal(week)
        lines.append(f"1,1,{year},{year}{number:02},{week},{sales_of(week)}")
    (tmp_path / "sales.csv").write_text("\n".join([*lines, ""]))
    rows = read_long_source(LongSource(path=str(tmp_path)), empty_tables())
    assert rows.unread == ["sales.csv: fiscal_year", "sales.csv: fiscal_week"]
    grid = grid_of(rows.tables[SALES.name])
    columns = formulas.sales_history(grid, formulas.aggregate(grid), FeatureSet(8))
    compared = 0
    for row, origin in enumerate(WEEKS):
        for h in (1, 4, 8):
            target = origin + h * WEEK
            if target - timedelta(days=364) < WEEKS[0]:
                continue
            compared += 1
            assert columns[f"last_year_h{h}"][row] == sales_of(target - timedelta(days=364))
    # Nothing is lost at week 53, nor in the year after it.
    assert compared == 3 * (len(WEEKS) - 52) + (1 + 4 + 8)
    after = WEEKS.index(WEEK_53)
    assert not np.isnan(columns["last_year_h1"][after - 2 : after + 60]).any()


def test_holidays_are_those_of_the_dates_in_and_around_week_53() -> None:
    # The game is in week 3 of 2023 and, after week 53, in week 2 of 2024.
    games = [date(2023, 2, 18), date(2024, 2, 17)]
    assert [fiscal(week)[1] for week in games] == [3, 2]
    assert games[1] - games[0] == calendar.YEAR
    assert [calendar_features(week)["is_super_bowl"] for week in games] == [1, 1]
    around = [calendar_features(WEEK_53 + n * WEEK)["weeks_to_super_bowl"] for n in range(-1, 4)]
    assert around == [3, 2, 1, 0, -1]


@pytest.mark.parametrize("weekday", [5, 6])
def test_new_year_in_the_53rd_week_of_2020(weekday: int) -> None:
    new_year, day = date(2021, 1, 1), timedelta(days=1)
    week = calendar.week_of(new_year, weekday)
    assert week.isocalendar().week == 53
    assert calendar_features(week)["week_of_year"] == 53
    named = dict(named_days(HolidayRegion(country="DE"), week - 6 * day, week))
    assert new_year in named
    assert calendar_features(calendar.week_of(date(2020, 12, 25), weekday))["is_christmas"] == 1


def test_thanksgiving_after_53_weeks_looks_at_thanksgiving() -> None:
    # The fourth Thursday of 2024 is 53 weeks after that of 2023.
    flags = np.array([float(calendar.weeks_to(calendar.thanksgiving, week) == 0) for week in WEEKS])
    names = [frozenset({"Thanksgiving"}) if flag else frozenset[str]() for flag in flags]
    back = weeks_back(flags, names)
    place = WEEKS.index(date(2024, 11, 30))
    assert (flags[place], back[place]) == (1, 53)
    assert back[WEEKS.index(date(2023, 11, 25))] == 52
