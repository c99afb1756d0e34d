"""Metrics of a backtest: overall, by horizon, by slice, and of sums over departments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from shelfcast.evaluate.metrics import bias, coverage, mase, pinball, rmse, wape, wmae
from shelfcast.evaluate.slices import slices as slice_masks

#: Level of each quantile column in forecasts.csv.
QUANTILES = {"p2_5": 0.025, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p97_5": 0.975}
_INTERVALS = {"coverage80": ("p10", "p90"), "coverage95": ("p2_5", "p97_5")}

Scores = dict[str, dict[str, Any]]


def score(rows: pd.DataFrame, forecasters: Sequence[str]) -> Scores:
    """Returns the metrics of each forecaster over rows with actual sales, in US dollars or as ratios.

    The first forecaster is the model, with the columns ``QUANTILES``. MASE covers the ``scaledRows`` rows of
    series with a naive error. WAPE is null if nothing was sold.
    """
    actual, holiday = rows["actual"].to_numpy(), rows["holiday"].to_numpy()
    scale = rows["scale"].to_numpy()
    scaled = np.isfinite(scale)
    result: Scores = {}
    for name in forecasters:
        forecast = rows["p50" if name == forecasters[0] else name].to_numpy()
        result[name] = {
            "wmae": wmae(forecast, actual, holiday),
            "wape": wape(forecast, actual) if actual.any() else None,
            "mase": mase(forecast[scaled], actual[scaled], scale[scaled]) if scaled.any() else None,
            "rmse": rmse(forecast, actual),
            "bias": bias(forecast, actual),
            "rows": len(rows),
            "scaledRows": int(scaled.sum()),
        }
    result[forecasters[0]] |= {
        "pinball": float(
            np.mean([pinball(rows[name].to_numpy(), actual, level) for name, level in QUANTILES.items()])
        ),
        **{name: coverage(rows[list(ends)].to_numpy(), actual) for name, ends in _INTERVALS.items()},
    }
    return result


def slices(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Returns the rows of each non-empty slice of the evaluate job."""
    names = ("store_type", "holiday", "mean_sales", "dept", "age_weeks")
    masks = slice_masks(*(rows[name].to_numpy() for name in names))
    return {name: rows[mask] for name, mask in masks.items() if mask.any()}


def sums(rows: pd.DataFrame, forecasters: Sequence[str]) -> dict[str, dict[str, float]]:
    """Returns the WAPE of sums over departments (``store``) and over all series (``total``), by forecaster.

    Point forecasts of a store are sums over its departments, so all levels agree. Quantiles are not summed:
    the quantile of a sum is not the sum of quantiles.
    """
    columns = {name: "p50" if name == forecasters[0] else name for name in forecasters}
    keys = {"store": ["origin", "target_week", "store"], "total": ["origin", "target_week"]}
    result = {}
    for level, key in keys.items():
        total = rows.groupby(key)[[*columns.values(), "actual"]].sum()
        actual = total["actual"].to_numpy()
        if actual.any():
            result[level] = {name: wape(total[c].to_numpy(), actual) for name, c in columns.items()}
    return result
