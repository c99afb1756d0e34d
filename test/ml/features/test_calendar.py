import csv
import io
from datetime import date, timedelta
from pathlib import Path

import pytest

from shelfcast import calendar
from shelfcast.features.definitions import CALENDAR


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        # Published dates.
        (
            calendar.super_bowl,
            ["2000-01-30", "2002-02-03", "2010-02-07", "2012-02-05", "2022-02-13", "2026-02-08"],
        ),
        (
            calendar.easter,
            ["2000-04-23", "2008-03-23", "2010-04-04", "2011-04-24", "2012-04-08", "2038-04-25"],
        ),
        (calendar.labor_day, ["2010-09-06", "2011-09-05", "2012-09-03", "2026-09-07"]),
        (calendar.thanksgiving, ["2010-11-25", "2011-11-24", "2012-11-22", "2026-11-26"]),
        (calendar.christmas, ["2010-12-25"]),
    ],
)
def test_holidays_fall_on_their_published_dates(
    rule: calendar.Callable[[int], date], days: list[str]
) -> None:
    for text in days:
        day = date.fromisoformat(text)
        assert rule(day.year) == day


def test_holiday_weeks_are_those_that_walmart_flags(walmart: Path) -> None:
    text = (walmart / "train.csv").read_text().replace("\r", "\n")
    flags = {row["Date"]: row["IsHoliday"] == "TRUE" for row in csv.DictReader(io.StringIO(text))}
    assert len(flags) > 100
    assert {day: calendar.is_holiday(date.fromisoformat(day)) for day in flags} == flags


def test_weeks_to_a_holiday_count_down_to_its_week_and_are_negative_after_it() -> None:
    friday = date(2011, 11, 25)
    weeks = [friday + n * timedelta(weeks=1) for n in range(-3, 3)]
    assert [calendar.weeks_to(calendar.thanksgiving, week) for week in weeks] == [3, 2, 1, 0, -1, -2]


@pytest.mark.parametrize("first", [date(2010, 1, 1) + timedelta(days=n) for n in range(7)])
def test_weeks_to_a_holiday_stay_within_half_a_year_for_every_weekday(first: date) -> None:
    for week in calendar.week_range(first, first + timedelta(days=3000)):
        for rule in calendar.HOLIDAYS.values():
            assert -26 <= calendar.weeks_to(rule, week) <= 26
        # Ends on the week's own weekday, within the six days after the holiday.
        assert calendar.week_of(week - timedelta(days=6), week.weekday()) == week


def test_the_weeks_around_christmas_2011() -> None:
    before, holiday = (calendar.calendar_features(date(2011, 12, day)) for day in (23, 30))
    assert before["december_days_before_christmas"] == 7
    # 24 December is the first day of the week that ends on the 30th.
    assert holiday["december_days_before_christmas"] == 1
    assert (before["is_holiday"], holiday["is_holiday"]) == (0, 1)
    # The week of a year before ended on 24 December 2010 and held all of 18..24; this one holds 18..23.
    assert before["christmas_shift"] == 6 - 7
    assert holiday["christmas_shift"] == 1 - 0
    assert holiday["is_holiday_last_year"] == 1
    assert before["month"] == 12
    assert before["week_of_year"] == 51


def test_easter_moves_against_the_year_before() -> None:
    # Easter 2011 is in the week that ends on 29 April. 52 weeks before is 30 April 2010, and Easter 2010 was
    # on the 4th, in the week that ended on the 9th.
    assert calendar.calendar_features(date(2011, 4, 29))["easter_shift"] == 0 - -3


def test_each_named_holiday_is_flagged_in_its_own_week() -> None:
    days = {
        "is_super_bowl": date(2011, 2, 6),
        "is_easter": date(2011, 4, 24),
        "is_labor_day": date(2011, 9, 5),
        "is_thanksgiving": date(2011, 11, 24),
        "is_christmas": date(2011, 12, 25),
    }
    for week in calendar.week_range(date(2011, 1, 7), date(2011, 12, 30)):
        row = calendar.calendar_features(week)
        assert {name: row[name] for name in days} == {
            name: int(week - timedelta(days=6) <= day <= week) for name, day in days.items()
        }
        others = [row[name] for name in days if name != "is_easter"]
        assert row["is_holiday"] == max(others)
        assert row["quarter"] == {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, 7: 3, 8: 3, 9: 3}.get(week.month, 4)


def test_a_row_has_the_columns_of_the_view_in_their_order() -> None:
    row = calendar.calendar_features(date(2012, 2, 10))
    assert tuple(row) == CALENDAR
    assert all(type(value) is int for value in row.values())


def test_week_range_holds_both_ends() -> None:
    assert calendar.week_range(date(2024, 1, 5), date(2024, 1, 19)) == [
        date(2024, 1, 5),
        date(2024, 1, 12),
        date(2024, 1, 19),
    ]
