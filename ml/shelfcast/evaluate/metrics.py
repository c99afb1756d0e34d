"""Errors of forecasts, overall and by slice.

f is a forecast, a the actual sales of the same row, both in US dollars; sums and means run over rows.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from shelfcast.calendar import HOLIDAY_WEIGHT
from shelfcast.evaluate.backtest import Backtest, Booleans, Forecaster
from shelfcast.features.samples import Floats
from shelfcast.job import UserError


class Metrics(TypedDict):
    """See contracts/jobs.ts."""

    wmae: float
    wape: float
    rmse: float
    bias: float
    coverage80: float | None
    rows: int


ByForecaster = dict[Forecaster, Metrics]


def wmae(forecast: Floats, actual: Floats, holiday: Booleans) -> float:
    """Returns sum(w |f - a|) / sum(w), w = 5 in holiday weeks and 1 elsewhere, US dollars.

    Source: evaluation of the Kaggle competition "Walmart Recruiting - Store Sales Forecasting" (2014).
    """
    return float(np.average(np.abs(forecast - actual), weights=np.where(holiday, HOLIDAY_WEIGHT, 1.0)))


def wape(forecast: Floats, actual: Floats) -> float:
    """Returns sum |f - a| / sum |a|; not defined where all actual sales are 0.

    Source: Kolassa and Schuetz, "Advantages of the MAD/Mean Ratio over the MAPE", Foresight 6 (2007).
    Absolute actuals keep returns (sales below zero) from making the denominator smaller.
    """
    return float(np.abs(forecast - actual).sum() / np.abs(actual).sum())


def rmse(forecast: Floats, actual: Floats) -> float:
    """Returns sqrt(mean((f - a)^2)), US dollars.

    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd edition, section 5.8.
    """
    return float(np.sqrt(np.square(forecast - actual).mean()))


def bias(forecast: Floats, actual: Floats) -> float:
    """Returns mean(f - a), US dollars: above 0 where the forecasts are too high.

    Source: the mean error of Hyndman and Koehler, "Another look at measures of forecast accuracy",
    International Journal of Forecasting 22 (2006), with the sign turned.
    """
    return float((forecast - actual).mean())


def mase(forecast: Floats, actual: Floats, scale: Floats) -> float:
    """Returns mean(|f - a| / s), s the series' mean error of a naive forecast in the known weeks, [N].

    Source: Hyndman and Koehler, "Another look at measures of forecast accuracy", International Journal of
    Forecasting 22 (2006); the naive forecast is the same week last year, of a series without one last week.
    """
    return float((np.abs(forecast - actual) / scale).mean())


def pinball(quantile: Floats, actual: Floats, level: float) -> float:
    """Returns the mean of level (a - q) where a is above q, else (1 - level) (q - a), US dollars.

    Source: Koenker and Bassett, "Regression Quantiles", Econometrica 46 (1978).
    """
    error = actual - quantile
    return float(np.maximum(level * error, (level - 1) * error).mean())


def coverage(interval: Floats, actual: Floats) -> float:
    """Returns the share of actuals in [low, high], both ends included; ``interval`` is [N, 2].

    Source: Gneiting, Balabdaoui and Raftery, "Probabilistic forecasts, calibration and sharpness", Journal of
    the Royal Statistical Society B 69 (2007).
    """
    return float(((interval[:, 0] <= actual) & (actual <= interval[:, 1])).mean())


def score(backtest: Backtest, rows: Booleans, what: str) -> ByForecaster:
    """Returns the metrics of every forecaster over the chosen rows [N].

    Raises:
        UserError: WAPE is not defined: there is no row, or all actual sales are 0.
    """
    actual, holiday = backtest.actual[rows], backtest.holiday[rows]
    if not actual.any():
        raise UserError(
            "BadData",
            f"{what} cannot be scored: its {len(actual)} rows hold no sales; test on more weeks (testWeeks)",
        )
    result: ByForecaster = {}
    for name, values in backtest.forecasts.items():
        forecast, interval = values[rows], backtest.intervals.get(name)
        result[name] = Metrics(
            wmae=wmae(forecast, actual, holiday),
            wape=wape(forecast, actual),
            rmse=rmse(forecast, actual),
            bias=bias(forecast, actual),
            coverage80=None if interval is None else coverage(interval[rows], actual),
            rows=len(actual),
        )
    return result


def slices(backtest: Backtest) -> dict[str, Booleans]:
    """Returns the rows [N] of each slice that has any, by name.

    ``store_type=A..``, ``holiday=true|false`` (of the target week), ``volume=low|medium|high`` (the third of
    the rows by the series' mean sales over the year that ends at the origin), ``horizon=1..`` (weeks ahead).
    """
    lower, upper = np.quantile(backtest.mean_sales, [1 / 3, 2 / 3])
    types = np.unique(backtest.store_type)
    masks = {
        **{f"store_type={chr(64 + int(code))}": backtest.store_type == code for code in types},
        "holiday=true": backtest.holiday,
        "holiday=false": ~backtest.holiday,
        "volume=low": backtest.mean_sales <= lower,
        "volume=medium": (backtest.mean_sales > lower) & (backtest.mean_sales <= upper),
        "volume=high": backtest.mean_sales > upper,
        **{f"horizon={h}": backtest.horizon == h for h in np.unique(backtest.horizon)},
    }
    return {name: mask for name, mask in masks.items() if mask.any()}


def score_slices(backtest: Backtest) -> tuple[dict[str, ByForecaster], list[str]]:
    """Returns the metrics by slice, and the slices that have none because all their actual sales are 0."""
    result, without_sales = {}, []
    for name, rows in slices(backtest).items():
        if backtest.actual[rows].any():
            result[name] = score(backtest, rows, f"slice {name}")
        else:
            without_sales.append(name)
    return result, without_sales
