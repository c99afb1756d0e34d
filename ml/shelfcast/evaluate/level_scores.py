"""Errors of totals at each level."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfcast.contracts.model import LevelScales
from shelfcast.contracts.results import Forecaster, LevelMetrics
from shelfcast.evaluate.backtest import Backtest
from shelfcast.evaluate.metrics import bias, coverage, wape
from shelfcast.features.samples import Floats
from shelfcast.level_sums import Totals, interval, scales_at, totals

_ACTUAL = "actual"

ByForecaster = dict[Forecaster, LevelMetrics]


def score_levels(
    backtest: Backtest, scales: Mapping[Forecaster, Mapping[str, LevelScales] | None]
) -> dict[str, ByForecaster]:
    """Returns the metrics of the totals over the scored rows, by level and forecaster.

    Args:
        backtest: The backtest.
        scales: Scales of each model by level, if it has any.
    """
    values = {_ACTUAL: backtest.actual, **{str(name): rows for name, rows in backtest.forecasts.items()}}
    for name in backtest.quantiles:
        ends = backtest.interval(name, 0.1, 0.9)
        if ends is not None:
            values |= {_low(name): ends[:, 0], _high(name): ends[:, 1]}
    keys = {"store": backtest.store, "dept": backtest.dept}
    weeks = backtest.target_week.astype(np.int64)
    result: dict[str, ByForecaster] = {}
    for level in backtest.levels.names:
        groups = backtest.levels.groups(level, keys[backtest.levels.key_of(level)], backtest.ids)
        sums = totals(groups, weeks, backtest.horizon, values)
        if len(sums.rows) > 0:
            result[level] = {
                name: score_totals(sums, name, _interval(sums, name, (scales.get(name) or {}).get(level)))
                for name in backtest.forecasts
            }
    return result


def score_totals(sums: Totals, forecast: str, ends: tuple[Floats, Floats] | None) -> LevelMetrics:
    """Returns the metrics of one forecast of a level's totals.

    Args:
        sums: Totals with the value ``actual`` and that of the forecast, G > 0.
        forecast: Name of the value that is the forecast.
        ends: Ends of its 80 % interval, [G] each; None if it has none.
    """
    actual = sums.values[_ACTUAL]
    return LevelMetrics(
        wape=wape(sums.values[forecast], actual) if actual.any() else None,
        bias=bias(sums.values[forecast], actual),
        coverage80=None if ends is None else coverage(np.stack(ends, axis=1), actual),
        rows=len(actual),
    )


def _interval(sums: Totals, name: Forecaster, scales: LevelScales | None) -> tuple[Floats, Floats] | None:
    if scales is None or _low(name) not in sums.values:
        return None
    low, high = sums.values[_low(name)], sums.values[_high(name)]
    return interval(sums.values[name], low, high, scales_at(scales, sums.horizon)[0])


def _low(name: Forecaster) -> str:
    return f"{name} low"


def _high(name: Forecaster) -> str:
    return f"{name} high"
