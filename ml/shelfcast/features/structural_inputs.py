"""Regressors of the structural forecast: the season, and the holidays that move within it.

All of them are means over the seven days of a week, so a week that holds other days of December than a year
ago has other values. The season has ``_HARMONICS`` Fourier pairs for its broad shape, and one hat function
for each 52nd of the year for the rest. Both repeat by the calendar year, not by 52 weeks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from shelfcast import calendar
from shelfcast.features.sales_history import Grid

_HARMONICS = 4
_HATS = 52
#: Periods of December with an effect of their own: first and last day.
_DECEMBER = ((1, 7), (8, 14), (15, 18), (19, 21), (22, 24), (25, 25), (26, 31))
#: Holiday -> weeks before it that have an effect of their own; those after it are negative.
_EASTER = ((calendar.easter, (2, 1, 0, -1)),)
_AMERICAN: tuple[tuple[Callable[[int], date], tuple[int, ...]], ...] = (
    (calendar.super_bowl, (0, -1)),
    (calendar.labor_day, (1, 0, -1)),
    (calendar.thanksgiving, (1, 0, -1)),
    *_EASTER,
)
#: Prior standard deviations of the effects on log sales. The season's harmonics have theirs divided by their
#: number.
_HARMONIC, _HAT, _DECEMBER_DAYS, _HOLIDAY, _BESIDE_HOLIDAY = 0.15, 0.06, 0.5, 0.3, 0.15


@dataclass(frozen=True)
class Regressors:
    """Regressors of each week.

    Attributes:
        values: Value in each week [weeks, P].
        prior: Prior standard deviation of each effect on log sales [P].
    """

    values: Grid
    prior: NDArray[np.float64]


def regressors(weeks: NDArray[np.datetime64], own_holiday: NDArray[np.float64] | None) -> Regressors:
    """Returns the regressors of consecutive weeks.

    Args:
        weeks: Last days of the weeks, datetime64[D] [weeks].
        own_holiday: Share of the stores that have a holiday of the data set's own, in each of the weeks and
            the one after them [weeks + 1]; None for the holidays of ``shelfcast.calendar``.
    """
    days = weeks[:, np.newaxis] - np.arange(7)
    effects = [*_season(days), *_december(days)]
    if own_holiday is None:
        effects += _holidays(weeks, _AMERICAN)
    else:
        own = (own_holiday[:-1], _HOLIDAY), (own_holiday[1:], _BESIDE_HOLIDAY)
        effects += [*_holidays(weeks, _EASTER), *own]
    values, prior = zip(*effects, strict=True)
    return Regressors(np.stack(values, axis=1), np.array(prior))


_Effect = tuple[NDArray[np.float64], float]


def _season(days: NDArray[np.datetime64]) -> list[_Effect]:
    """Returns harmonics and hats of days [weeks, 7]."""
    year = days.astype("datetime64[Y]")
    first, next_first = year.astype("datetime64[D]"), (year + 1).astype("datetime64[D]")
    phase = (days - first).astype(np.float64) / (next_first - first).astype(np.float64)
    effects: list[_Effect] = []
    for n in range(1, _HARMONICS + 1):
        angle = 2 * np.pi * n * phase
        effects += [(wave.mean(axis=1), _HARMONIC / n) for wave in (np.cos(angle), np.sin(angle))]
    for n in range(_HATS):
        distance = np.abs(phase * _HATS - n)
        hat = np.maximum(1 - np.minimum(distance, _HATS - distance), 0)
        effects.append((hat.mean(axis=1), _HAT))
    return effects


def _december(days: NDArray[np.datetime64]) -> list[_Effect]:
    """Returns the share of each week's days that lie in each period of December, from days [weeks, 7]."""
    month = days.astype("datetime64[M]")
    is_december = month.astype(np.int64) % 12 == 11
    day = (days - month.astype("datetime64[D]")).astype(np.int64) + 1
    return [
        ((is_december & (first <= day) & (day <= last)).mean(axis=1), _DECEMBER_DAYS)
        for first, last in _DECEMBER
    ]


def _holidays(
    weeks: NDArray[np.datetime64],
    holidays: tuple[tuple[Callable[[int], date], tuple[int, ...]], ...],
) -> list[_Effect]:
    effects: list[_Effect] = []
    for rule, distances in holidays:
        to_holiday = np.array([calendar.weeks_to(rule, week) for week in weeks.tolist()])
        for weeks_before in distances:
            prior = _BESIDE_HOLIDAY if weeks_before else _HOLIDAY
            effects.append(((to_holiday == weeks_before).astype(np.float64), prior))
    return effects
