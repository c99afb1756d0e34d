"""Metrics of a backtest: overall, by horizon, by slice, and of totals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd

from shelfcast.contracts.results import LevelMetrics
from shelfcast.evaluate.metrics import bias, coverage, mase, pinball, rmse, wape, wmae
from shelfcast.evaluate.slices import slices as slice_masks
from shelfcast.ids import Ids, Shown

#: Level of each quantile column in forecasts.csv.
QUANTILES = {"p2_5": 0.025, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p97_5": 0.975}


@dataclass(frozen=True, kw_only=True)
class Score:
    """Errors of one forecaster; the last three are of the model's quantiles.

    Attributes:
        wmae: Weighted mean absolute error, US dollars.
        wape: Sum of absolute errors over sum of absolute sales; None if nothing was sold.
        mase: Mean absolute scaled error; None if no series has a naive error.
        rmse: Root mean squared error, US dollars.
        bias: Mean of forecast minus actual, US dollars.
        rows: Number of rows.
        scaled_rows: Number of rows that MASE covers, of series with a naive error.
        pinball: Mean pinball loss over the quantiles, US dollars.
        coverage80: Share of actual sales in the 80 % interval.
        coverage95: Share of actual sales in the 95 % interval.
    """

    wmae: float
    wape: float | None
    mase: float | None
    rmse: float
    bias: float
    rows: int
    scaled_rows: int
    pinball: float | None = None
    coverage80: float | None = None
    coverage95: float | None = None


#: Errors by forecaster.
Scores = dict[str, Score]


@dataclass(frozen=True, kw_only=True)
class SeriesLeftOut:
    """Series without a forecast at an origin."""

    origin: date
    store: Shown
    dept: Shown


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Errors over the ``comparable`` rows.

    Attributes:
        overall: Errors of all rows.
        by_horizon: Errors by weeks ahead.
        slices: Errors by slice.
        levels: Errors of totals by level and forecaster.
    """

    overall: Scores
    by_horizon: dict[str, Scores]
    slices: dict[str, Scores]
    levels: dict[str, dict[str, LevelMetrics]]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Settings and numbers of a backtest.

    Attributes:
        preset: Preset of the model.
        refit: Whether a model was trained at each origin.
        horizon_weeks: Weeks ahead.
        origins: Origins.
        forecasts: Number of forecasts.
        with_actual: Number of them with actual sales.
        not_compared: Number of these that a baseline has no forecast of, which are in no error.
        left_out: Series without a forecast.
    """

    preset: str
    refit: bool
    horizon_weeks: int
    origins: list[date]
    forecasts: int
    with_actual: int
    not_compared: int
    left_out: list[SeriesLeftOut]


def comparable(rows: pd.DataFrame, baselines: Sequence[str]) -> pd.DataFrame:
    """Returns the rows of which each baseline has a forecast; all forecasters are compared on the same."""
    kept: pd.DataFrame = rows[np.isfinite(rows[list(baselines)].to_numpy(np.float64)).all(axis=1)]
    return kept


def score(rows: pd.DataFrame, forecasters: Sequence[str]) -> Scores:
    """Returns the metrics of each forecaster over rows with actual sales, in US dollars or as ratios.

    The first forecaster is the model, with the columns ``QUANTILES``.
    """
    actual, holiday = rows["actual"].to_numpy(), rows["holiday"].to_numpy()
    scale = rows["scale"].to_numpy()
    scaled = np.isfinite(scale)
    result: Scores = {}
    for name in forecasters:
        forecast = rows["p50" if name == forecasters[0] else name].to_numpy()
        result[name] = Score(
            wmae=wmae(forecast, actual, holiday),
            wape=wape(forecast, actual) if actual.any() else None,
            mase=mase(forecast[scaled], actual[scaled], scale[scaled]) if scaled.any() else None,
            rmse=rmse(forecast, actual),
            bias=bias(forecast, actual),
            rows=len(rows),
            scaled_rows=int(scaled.sum()),
        )
    result[forecasters[0]] = replace(
        result[forecasters[0]],
        pinball=float(
            np.mean([pinball(rows[name].to_numpy(), actual, level) for name, level in QUANTILES.items()])
        ),
        coverage80=coverage(rows[["p10", "p90"]].to_numpy(), actual),
        coverage95=coverage(rows[["p2_5", "p97_5"]].to_numpy(), actual),
    )
    return result


def slices(rows: pd.DataFrame, ids: Ids) -> dict[str, pd.DataFrame]:
    """Returns the rows of each non-empty slice of the evaluate job."""
    names = ("store_type", "holiday", "mean_sales", "dept", "age_weeks")
    store_type, holiday, mean_sales, dept, age_weeks = (rows[name].to_numpy() for name in names)
    masks = slice_masks(store_type, holiday, mean_sales, dept, age_weeks, ids)
    return {name: rows[mask] for name, mask in masks.items() if mask.any()}
