"""Metrics of a backtest: overall, by weeks ahead, by slice, and of sums over departments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from shelfcast.evaluate.metrics import bias, coverage, mase, pinball, rmse, wape, wmae

#: Column and level of each quantile in forecasts.csv.
QUANTILES = {"p2_5": 0.025, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p97_5": 0.975}
_INTERVALS = {"coverage80": ("p10", "p90"), "coverage95": ("p2_5", "p97_5")}
#: A series is new in its first year: no week of it has a last year.
NEW_WEEKS = 52

Scores = dict[str, dict[str, Any]]


def score(rows: pd.DataFrame, forecasters: Sequence[str]) -> Scores:
    """Returns the metrics of each forecaster over rows with known actuals; US dollars but for ratios.

    The first forecaster is the model, whose columns are ``QUANTILES``. MASE is over the series that have a
    naive error, see ``scaledRows``. WAPE is null where nothing was sold.
    """
    actual, holiday = rows["actual"].to_numpy(), rows["holiday"].to_numpy()
    scale = rows["scale"].to_numpy()
    scaled = np.isfinite(scale)
    result: Scores = {}
    for place, name in enumerate(forecasters):
        forecast = rows["p50" if place == 0 else name].to_numpy()
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
    """Returns the rows of each slice that has any.

    Store type, holiday, third of the series by mean sales, department group (third of the departments by
    their sales), new series, and weeks ahead.
    """
    groups: dict[str, pd.DataFrame] = {}
    for code in sorted(rows["store_type"].unique()):
        groups[f"store_type={chr(64 + int(code))}"] = rows[rows["store_type"] == code]
    for holiday, part in rows.groupby("holiday"):
        groups[f"holiday={str(bool(holiday)).lower()}"] = part
    size = rows["mean_sales"].fillna(0).rank(pct=True)
    by_dept = rows.groupby("dept")["mean_sales"].sum().rank(pct=True)
    dept = rows["dept"].map(by_dept)
    for name, share in (("volume", size), ("dept_group", dept)):
        groups |= {
            f"{name}=low": rows[share <= 1 / 3],
            f"{name}=medium": rows[(share > 1 / 3) & (share <= 2 / 3)],
            f"{name}=high": rows[share > 2 / 3],
        }
    new = rows["age_weeks"].isna() | (rows["age_weeks"] < NEW_WEEKS)
    groups |= {"new_series=true": rows[new], "new_series=false": rows[~new]}
    return {name: part for name, part in groups.items() if len(part) > 0}


def sums(rows: pd.DataFrame, forecasters: Sequence[str]) -> dict[str, dict[str, float]]:
    """Returns the WAPE of sums over departments (``store``) and over all series (``total``), by forecaster.

    Point forecasts of a store are the sums of those of its departments, so all levels agree. Quantiles are
    not summed: the quantile of a sum is not the sum of quantiles.
    """
    columns = {name: "p50" if place == 0 else name for place, name in enumerate(forecasters)}
    keys = {"store": ["origin", "target_week", "store"], "total": ["origin", "target_week"]}
    result = {}
    for level, key in keys.items():
        total = rows.groupby(key)[[*columns.values(), "actual"]].sum()
        actual = total["actual"].to_numpy()
        if actual.any():
            result[level] = {name: wape(total[c].to_numpy(), actual) for name, c in columns.items()}
    return result
