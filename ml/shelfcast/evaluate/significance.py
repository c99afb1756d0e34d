"""How sure the candidate's lead is: its error beside another forecaster's, with an interval, slice by slice.

Errors of one series resemble each other, and so do those of one week: a storm hits many series. Rows are
never drawn by themselves. A draw takes the slice's series with replacement and, independently, its target
weeks; a row counts as often as its series was drawn, times how often its week was. Candidate and rival are
compared on the same rows of each draw.

Source: Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1 (2007), and Owen and Eckles,
"Bootstrapping data arrays of arbitrary order", Annals of Applied Statistics 6 (2012): of two crossed factors,
drawing rows makes far too sure, and this mildly too cautious.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from shelfcast.calendar import HOLIDAY_WEIGHT
from shelfcast.evaluate.backtest import Backtest, Forecaster
from shelfcast.evaluate.metrics import NotScored
from shelfcast.evaluate.slices import Booleans
from shelfcast.features.samples import Floats, Integers

#: Whom the candidate must not be worse than; the best reachable error is no rival.
RIVALS: tuple[Forecaster, ...] = ("champion", "naive", "seasonal_naive")
#: Name of all rows in a comparison.
OVERALL = "overall"
DRAWS = 1_000
#: Of the interval, two-sided.
LEVEL = 0.95
_SEED = 20_260


class Comparison(TypedDict):
    """See contracts/jobs.ts."""

    slice: str
    against: Forecaster
    difference: float
    lower: float
    upper: float
    rows: int
    series: int
    weeks: int


def compare(backtest: Backtest, masks: Mapping[str, Booleans]) -> tuple[list[Comparison], list[NotScored]]:
    """Compares the candidate with every rival in every slice that has rows.

    Returns:
        The comparisons, and the slices in which a rival never errs, so that nothing is a share of its error.
    """
    # One number a series, which is found again faster than a pair.
    series = backtest.store * (backtest.dept.max() + 1) + backtest.dept
    comparisons, not_compared = [], []
    for name, rows in masks.items():
        if not rows.any():
            continue
        draws = _Draws(backtest, rows, series)
        candidate = draws.errors("candidate")
        for rival in RIVALS:
            if rival not in backtest.forecasts:
                continue
            other = draws.errors(rival)
            if other.sum() == 0:
                not_compared.append(NotScored(slice=name, reason=f"not compared: {rival} never errs there"))
                continue
            lower, upper = draws.interval(candidate, other)
            comparisons.append(
                Comparison(
                    slice=name,
                    against=rival,
                    difference=float(candidate.sum() / other.sum() - 1),
                    lower=lower,
                    upper=upper,
                    rows=int(rows.sum()),
                    series=candidate.shape[0],
                    weeks=candidate.shape[1],
                )
            )
    return comparisons, not_compared


class _Draws:
    """The draws of one slice, the same for all its rivals."""

    def __init__(self, backtest: Backtest, rows: Booleans, series: Integers) -> None:
        self._backtest, self._rows = backtest, rows
        self._series = np.unique(series[rows], return_inverse=True)[1]
        self._week = np.unique(backtest.target_week[rows], return_inverse=True)[1]
        self._shape = int(self._series.max()) + 1, int(self._week.max()) + 1
        self._weight = np.where(backtest.holiday[rows], HOLIDAY_WEIGHT, 1.0)
        random = np.random.default_rng(_SEED)
        self._times_series, self._times_week = (_times_drawn(random, count) for count in self._shape)

    def errors(self, forecaster: Forecaster) -> Floats:
        """Returns the sums of weighted absolute errors, US dollars [series, weeks]."""
        backtest, rows = self._backtest, self._rows
        error = np.abs(backtest.forecasts[forecaster][rows] - backtest.actual[rows]) * self._weight
        cell = self._series * self._shape[1] + self._week
        sums: Floats = np.bincount(cell, error, self._shape[0] * self._shape[1]).astype(np.float64)
        return sums.reshape(self._shape)

    def interval(self, candidate: Floats, other: Floats) -> tuple[float, float]:
        """Returns the ends of the percentile interval of WMAE / other's WMAE - 1."""
        sums = [
            ((self._times_series @ errors) * self._times_week).sum(axis=1) for errors in (candidate, other)
        ]
        # A draw of cells without rows, or in which the other never errs, says nothing.
        usable = sums[1] > 0
        tail = (1 - LEVEL) / 2
        lower, upper = np.quantile(sums[0][usable] / sums[1][usable] - 1, [tail, 1 - tail])
        return float(lower), float(upper)


def _times_drawn(random: np.random.Generator, count: int) -> Floats:
    """Returns how often each of the clusters is in each draw of as many, with replacement [DRAWS, count]."""
    drawn = random.integers(0, count, (DRAWS, count)) + count * np.arange(DRAWS)[:, None]
    times: Floats = np.bincount(drawn.ravel(), minlength=DRAWS * count).astype(np.float64)
    return times.reshape(DRAWS, count)
