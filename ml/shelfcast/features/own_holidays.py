"""Names of the covariates and features of holidays that a data set has of its own.

A data set has its own holidays if its flags are not those of ``shelfcast.calendar``, or if it declares a
calendar or events. The ingest job derives four covariates from them, known in advance for each store and
week; they become features as other covariates do. Features of the calendar view stay what they are, but the
networks read the own ones instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shelfcast.snapshot import Covariate

#: Holidays are known as long before their weeks as a covariate can be.
_KNOWN_AFTER_WEEKS = -52

HOLIDAY = "holiday"
DAYS_UNTIL = "holiday_days_until"
DAYS_SINCE = "holiday_days_since"
WEEKS_BACK = "holiday_weeks_back"
#: Bound of both numbers of days.
MAX_DAYS = 28
#: Bounds of the weeks back to the week of last year that is alike. The days of feasts that follow the moon
#: lie 343 to 385 days apart, so their weeks lie 48 to 56 weeks apart.
MIN_WEEKS_BACK, MAX_WEEKS_BACK = 48, 56

COVARIATES = (
    Covariate(HOLIDAY, "store_week", _KNOWN_AFTER_WEEKS, "1 in a week with a holiday of the store"),
    Covariate(
        DAYS_UNTIL,
        "store_week",
        _KNOWN_AFTER_WEEKS,
        f"days from the end of the week to the next holiday, {MAX_DAYS} at most",
    ),
    Covariate(
        DAYS_SINCE,
        "store_week",
        _KNOWN_AFTER_WEEKS,
        f"days from the newest holiday to the end of the week, {MAX_DAYS} at most",
    ),
    Covariate(
        WEEKS_BACK,
        "store_week",
        _KNOWN_AFTER_WEEKS,
        "weeks back to the week of last year that is alike: with the same holiday, or without one",
    ),
)
COVARIATE_NAMES = frozenset(covariate.name for covariate in COVARIATES)
#: Covariates without a feature of their value at the origin.
ONLY_AHEAD = COVARIATE_NAMES - {HOLIDAY}

LAST_YEAR = "last_year_alike"
DEPT_SEASON = "dept_season_alike"
HOLIDAY_AHEAD = f"{HOLIDAY}_ahead"
#: Features that the networks read as plain numbers.
INPUTS = (HOLIDAY, HOLIDAY_AHEAD, f"{DAYS_UNTIL}_ahead", f"{DAYS_SINCE}_ahead")
#: Features of the calendar view that they replace there.
REPLACED = frozenset({"is_holiday", "is_holiday_last_year"})
FEATURES = frozenset((*INPUTS, f"{WEEKS_BACK}_ahead", LAST_YEAR, DEPT_SEASON))


def has_own_holidays(names: Iterable[str]) -> bool:
    """Whether these names of covariates or features are those of a data set with holidays of its own."""
    return HOLIDAY in names


def without_replaced(names: Sequence[str], features: Iterable[str]) -> Sequence[str]:
    """Returns the names without those that holidays of the data set's own replace, from all its features."""
    return [name for name in names if name not in REPLACED] if has_own_holidays(features) else names


def holiday_flag(names: Iterable[str]) -> str:
    """Returns the feature that is 1 where the target week holds a holiday, from the names of features."""
    return HOLIDAY_AHEAD if HOLIDAY_AHEAD in names else "is_holiday"
