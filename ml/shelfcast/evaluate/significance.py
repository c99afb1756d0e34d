"""Bootstrap intervals of the WMAE difference between the candidate and other forecasters, by slice.

Errors of one series are correlated, and so are errors of one week: a storm hits many series. So single rows
are never resampled. A draw takes the slice's series with replacement and, independently, its target weeks; a
row counts as often as its series was drawn times as often as its week was drawn. Candidate and
reference are compared on the same rows of each draw.

Source: Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1 (2007), and Owen and Eckles,
"Bootstrapping data arrays of arbitrary order", Annals of Applied Statistics 6 (2012): with two crossed
factors, intervals from resampled rows are far too narrow, and these slightly too wide.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfcast.calendar import HOLIDAY_WEIGHT
from shelfcast.contracts.results import GATE_BASELINES, Comparison, Forecaster, SliceNotScored
from shelfcast.evaluate.backtest import Backtest
from shelfcast.evaluate.slices import Booleans
from shelfcast.features.samples import Floats, Integers

#: Forecasters that the candidate must not be worse than; the oracle is only a bound.
REFERENCES: tuple[Forecaster, ...] = ("champion", *GATE_BASELINES)
#: Slice name of comparisons over all rows.
OVERALL = "overall"
#: Number of bootstrap draws.
DRAWS = 1_000
#: Confidence of the two-sided interval.
CONFIDENCE = 0.95
_SEED = 20_260


def compare(
    backtest: Backtest, masks: Mapping[str, Booleans]
) -> tuple[list[Comparison], list[SliceNotScored]]:
    """Compares the candidate with every reference in every slice that has rows.

    Returns:
        The comparisons, and the slices in which a reference has no error, so that the ratio is not defined.
    """
    # One number for each series: np.unique is faster on numbers than on pairs.
    series = backtest.store * (backtest.dept.max() + 1) + backtest.dept
    comparisons, not_compared = [], []
    for name, rows in masks.items():
        if not rows.any():
            continue
        draws = _Draws(backtest, rows, series)
        candidate = draws.errors("candidate")
        for reference in REFERENCES:
            if reference not in backtest.forecasts:
                continue
            other = draws.errors(reference)
            if other.sum() == 0:
                not_compared.append(
                    SliceNotScored(slice=name, reason=f"not compared: {reference} has no error there")
                )
                continue
            lower, upper = draws.interval(candidate, other)
            comparisons.append(
                Comparison(
                    slice=name,
                    against=reference,
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
    """Bootstrap draws of one slice, shared by all references."""

    def __init__(self, backtest: Backtest, rows: Booleans, series: Integers) -> None:
        self._backtest, self._rows = backtest, rows
        self._series = np.unique(series[rows], return_inverse=True)[1]
        self._week = np.unique(backtest.target_week[rows], return_inverse=True)[1]
        self._shape = int(self._series.max()) + 1, int(self._week.max()) + 1
        self._weight = np.where(backtest.holiday[rows], HOLIDAY_WEIGHT, 1.0)
        random = np.random.default_rng(_SEED)
        self._series_counts, self._week_counts = (_draw_counts(random, count) for count in self._shape)

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
            ((self._series_counts @ errors) * self._week_counts).sum(axis=1) for errors in (candidate, other)
        ]
        # The ratio is undefined in draws without rows or without errors of the other forecaster.
        usable = sums[1] > 0
        tail = (1 - CONFIDENCE) / 2
        lower, upper = np.quantile(sums[0][usable] / sums[1][usable] - 1, [tail, 1 - tail])
        return float(lower), float(upper)


def _draw_counts(random: np.random.Generator, count: int) -> Floats:
    """Draws ``count`` of ``count`` clusters with replacement; returns the count of each [DRAWS, count]."""
    drawn = random.integers(0, count, (DRAWS, count)) + count * np.arange(DRAWS)[:, None]
    counts: Floats = np.bincount(drawn.ravel(), minlength=DRAWS * count).astype(np.float64)
    return counts.reshape(DRAWS, count)
