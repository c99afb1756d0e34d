"""Error measures of forecasts, overall and by slice.

f is a forecast, a the actual sales of the same row, both in US dollars; sums and means run over rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfcast.calendar import HOLIDAY_WEIGHT
from shelfcast.contracts.results import Forecaster, Metrics, SliceNotScored
from shelfcast.evaluate.backtest import Backtest
from shelfcast.evaluate.slices import Booleans, slices
from shelfcast.features.samples import Floats

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
    """Returns mean(|f - a| / s), s the in-sample mean absolute error of the series' naive forecast, [N].

    Source: Hyndman and Koehler, "Another look at measures of forecast accuracy", International Journal of
    Forecasting 22 (2006), with the seasonal naive forecast, or the naive one in a series' first year.
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


def score(backtest: Backtest, rows: Booleans) -> ByForecaster:
    """Returns the metrics of every forecaster over the chosen rows [N]; none without a row.

    WAPE is None where all actual sales are 0.
    """
    actual, holiday, scale = backtest.actual[rows], backtest.holiday[rows], backtest.scale[rows]
    if len(actual) == 0:
        return {}
    scaled = np.isfinite(scale)
    result: ByForecaster = {}
    for name, values in backtest.forecasts.items():
        forecast = values[rows]
        result[name] = Metrics(
            wmae=wmae(forecast, actual, holiday),
            wape=wape(forecast, actual) if actual.any() else None,
            mase=mase(forecast[scaled], actual[scaled], scale[scaled]) if scaled.any() else None,
            rmse=rmse(forecast, actual),
            bias=bias(forecast, actual),
            pinball=_mean_pinball(backtest, name, rows),
            coverage80=_coverage(backtest, name, rows, 0.1, 0.9),
            coverage95=_coverage(backtest, name, rows, 0.025, 0.975),
            rows=len(actual),
        )
    return result


def _coverage(backtest: Backtest, name: Forecaster, rows: Booleans, low: float, high: float) -> float | None:
    interval = backtest.interval(name, low, high)
    return None if interval is None else coverage(interval[rows], backtest.actual[rows])


def _mean_pinball(backtest: Backtest, name: Forecaster, rows: Booleans) -> float | None:
    levels = backtest.quantile_levels.get(name)
    if levels is None:
        return None
    answers, actual = backtest.quantiles[name][rows].astype(np.float64), backtest.actual[rows]
    return float(np.mean([pinball(answers[:, q], actual, level) for q, level in enumerate(levels)]))


def slices_of(backtest: Backtest, horizon_weeks: int) -> dict[str, Booleans]:
    """Returns the masks [N] of all slices by name: ``slices``, and ``horizon=1..`` (weeks ahead)."""
    masks = slices(
        backtest.store_type,
        backtest.holiday,
        backtest.mean_sales,
        backtest.dept,
        backtest.age_weeks,
        backtest.ids,
    )
    return masks | {f"horizon={h}": backtest.horizon == h for h in range(1, horizon_weeks + 1)}


def score_slices(
    backtest: Backtest, masks: Mapping[str, Booleans]
) -> tuple[dict[str, ByForecaster], list[SliceNotScored]]:
    """Returns the metrics by slice, and the slices without metrics."""
    result: dict[str, ByForecaster] = {}
    not_scored = []
    for name, rows in masks.items():
        if backtest.actual[rows].any():
            result[name] = score(backtest, rows)
        else:
            reason = (
                "all its actual sales are 0" if rows.any() else "no row that every forecaster can forecast"
            )
            not_scored.append(SliceNotScored(slice=name, reason=reason))
    return result, not_scored
