"""Forecasts of intermittent series, most of whose weeks have no sales, as features of the series' history.

Croston's method smooths the size of a sale and the interval between sales, in weeks with a sale only; its
forecast is their ratio, times 1 - a/2 for the bias that Syntetos and Boylan found. TSB smooths the
probability of a sale in each week instead, so that a series that ended is forecast ever lower.

Sources: Croston, "Forecasting and stock control for intermittent demands", Operational Research Quarterly 23
(1972); Syntetos and Boylan, "The accuracy of intermittent demand estimates", International Journal of
Forecasting 21 (2005); Teunter, Syntetos and Babai, "Intermittent demand: linking forecasting to inventory
obsolescence", European Journal of Operational Research 214 (2011).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from shelfcast.snapshot import Covariate

Grid = NDArray[np.float64]

#: Declaration of a data set with intermittent series, which the ingest job makes; no file has such a column.
DECLARED = Covariate("intermittent sales", "series_week", 0, "mark of data with many weeks without sales")
#: Smoothing constants in percent; the validation weeks choose.
CONSTANTS = (5, 10, 20)
CROSTON = tuple(f"croston_{percent}" for percent in CONSTANTS)
TSB = tuple(f"tsb_{percent}" for percent in CONSTANTS)
FEATURES = (*CROSTON, *TSB)


def is_intermittent(covariates: Iterable[Covariate]) -> bool:
    """Whether a data set with these covariates has the features of intermittent series."""
    return any(covariate.name == DECLARED.name for covariate in covariates)


def intermittent_columns(sales: Grid) -> dict[str, Grid]:
    """Returns ``FEATURES``, each [series, weeks]; NaN before the first sale of the series.

    A week without a value changes nothing, and returns (below 0) are no sale.
    """
    columns = {name: np.full_like(sales, np.nan) for name in FEATURES}
    for name, percent in zip(FEATURES, CONSTANTS * 2, strict=True):
        smooth = _croston if name in CROSTON else _tsb
        smooth(sales, percent / 100, columns[name])
    return columns


def _croston(sales: Grid, a: float, forecast: Grid) -> None:
    size, interval, waited = (np.full(len(sales), value) for value in (np.nan, np.nan, 0.0))
    for week, value in enumerate(sales.T):
        waited += ~np.isnan(value)
        sold, first = value > 0, np.isnan(size)
        size = np.where(sold, np.where(first, value, size + a * (value - size)), size)
        interval = np.where(sold, np.where(first, waited, interval + a * (waited - interval)), interval)
        waited[sold] = 0
        forecast[:, week] = (1 - a / 2) * size / interval


def _tsb(sales: Grid, a: float, forecast: Grid) -> None:
    size, chance, waited = (np.full(len(sales), value) for value in (np.nan, np.nan, 0.0))
    for week, value in enumerate(sales.T):
        known, sold, first = ~np.isnan(value), value > 0, np.isnan(size)
        waited += known
        smoothed = np.where(known, chance + a * (sold - chance), chance)
        chance = np.where(sold & first, 1 / np.maximum(waited, 1), smoothed)
        size = np.where(sold, np.where(first, value, size + a * (value - size)), size)
        forecast[:, week] = chance * size
