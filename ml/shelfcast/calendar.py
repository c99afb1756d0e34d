"""Calendar features, computed from dates alone: holidays, season, days before Christmas.

A week is named by its last day (Walmart: a Friday) and consists of that day and the six before it; the rules
work for any weekday. A holiday week is the week with the holiday itself, which gives Walmart's own holiday
flags.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import cache

WEEK = timedelta(days=7)
YEAR = timedelta(weeks=52)
_MONDAY, _THURSDAY, _SUNDAY = 0, 3, 6


def _nth_weekday(year: int, month: int, weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))


def super_bowl(year: int) -> date:
    """Returns the Sunday of the Super Bowl: the real dates from 1990 on, by rule from 2027 on."""
    if year >= 2022:
        return _nth_weekday(year, 2, _SUNDAY, 2)
    if year >= 2004 or year == 2002:
        return _nth_weekday(year, 2, _SUNDAY, 1)
    return _nth_weekday(year, 2, _SUNDAY, 1) - WEEK


def easter(year: int) -> date:
    """Returns Easter Sunday (Meeus, Astronomical Algorithms, chapter 8; Gregorian years)."""
    a, (b, c) = year % 19, divmod(year, 100)
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * weekday) // 451
    month, day = divmod(h + weekday - 7 * m + 114, 31)
    return date(year, month, day + 1)


def labor_day(year: int) -> date:
    """Returns the first Monday of September."""
    return _nth_weekday(year, 9, _MONDAY, 1)


def thanksgiving(year: int) -> date:
    """Returns the fourth Thursday of November."""
    return _nth_weekday(year, 11, _THURSDAY, 4)


def christmas(year: int) -> date:
    """Returns 25 December."""
    return date(year, 12, 25)


#: Weight of an error in a holiday week in WMAE (Walmart Recruiting - Store Sales Forecasting, 2014).
HOLIDAY_WEIGHT = 5.0
#: Holidays whose weeks count as holiday weeks.
HOLIDAYS: dict[str, Callable[[int], date]] = {
    "super_bowl": super_bowl,
    "labor_day": labor_day,
    "thanksgiving": thanksgiving,
    "christmas": christmas,
}


def week_of(day: date, weekday: int) -> date:
    """Returns the last day of the day's week, for weeks that end on ``weekday`` (Monday is 0)."""
    return day + timedelta(days=(weekday - day.weekday()) % 7)


@cache
def weeks_to(rule: Callable[[int], date], week: date) -> int:
    """Returns the weeks until the nearest week of the holiday: above 0 before it, below 0 after it."""
    distances = [
        (week_of(rule(year), week.weekday()) - week).days // 7 for year in range(week.year - 1, week.year + 2)
    ]
    return min(distances, key=lambda weeks: (abs(weeks), -weeks))


def is_holiday(week: date) -> bool:
    """Whether one of ``HOLIDAYS`` lies in the week."""
    return any(weeks_to(rule, week) == 0 for rule in HOLIDAYS.values())


def december_days(week: date, first: int, last: int) -> int:
    """Returns how many days of the week lie in first..last December."""
    days = (week - timedelta(days=n) for n in range(7))
    return sum(day.month == 12 and first <= day.day <= last for day in days)


def calendar_features(week: date) -> dict[str, int]:
    """Returns the columns of ``features.definitions.CALENDAR`` for a (target) week."""
    year_before = week - YEAR
    return {
        "is_holiday": int(is_holiday(week)),
        "is_super_bowl": int(weeks_to(super_bowl, week) == 0),
        "is_labor_day": int(weeks_to(labor_day, week) == 0),
        "is_thanksgiving": int(weeks_to(thanksgiving, week) == 0),
        "is_christmas": int(weeks_to(christmas, week) == 0),
        "is_easter": int(weeks_to(easter, week) == 0),
        "week_of_year": week.isocalendar().week,
        "month": week.month,
        "quarter": (week.month + 2) // 3,
        "weeks_to_super_bowl": weeks_to(super_bowl, week),
        "weeks_to_labor_day": weeks_to(labor_day, week),
        "weeks_to_thanksgiving": weeks_to(thanksgiving, week),
        "weeks_to_christmas": weeks_to(christmas, week),
        "weeks_to_easter": weeks_to(easter, week),
        "december_days_before_christmas": december_days(week, 1, 24),
        "christmas_shift": december_days(week, 18, 24) - december_days(year_before, 18, 24),
        "easter_shift": weeks_to(easter, week) - weeks_to(easter, year_before),
        "is_holiday_last_year": int(is_holiday(year_before)),
    }


def week_range(first: date, last: date) -> list[date]:
    """Returns each week from first to last, both included."""
    return [first + n * WEEK for n in range((last - first) // WEEK + 1)]
