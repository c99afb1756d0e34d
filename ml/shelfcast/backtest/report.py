"""Self-contained HTML report of a backtest: tables and inline PNG images."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from shelfcast.backtest.scores import QUANTILES, Errors, Scores
from shelfcast.contracts.results import FORECASTER_LABELS
from shelfcast.contracts.specs import DEFAULT_UNIT
from shelfcast.ids import PLAIN_IDS, Ids
from shelfcast.templates import render

_LABELS = {"seasonal_methods": "average of seasonal methods", "lightgbm": "LightGBM"} | {
    str(name): label for name, label in FORECASTER_LABELS.items()
}
#: Weeks of history in the figures of single series.
_HISTORY_WEEKS = 60


def label(forecaster: str) -> str:
    """Returns a forecaster's name as tables and figures show it."""
    return _LABELS.get(forecaster, forecaster)


def report_html(
    about: Mapping[str, str],
    errors: Errors | None,
    rows: pd.DataFrame,
    history: pd.DataFrame,
    forecasters: Sequence[str],
    ids: Ids = PLAIN_IDS,
    unit: str = DEFAULT_UNIT,
) -> str:
    """Returns the HTML page.

    Args:
        about: Settings of the backtest, by name.
        errors: Errors; None without actual sales, when the page has no tables.
        rows: Forecasts, with ``actual`` NaN where it is not known.
        history: Sales (store, dept, week, weekly_sales).
        forecasters: Keys of the forecasters, the model first.
        ids: Ids of the rows' stores and departments.
        unit: Unit of the sales.
    """
    known = rows[rows["actual"].notna()]
    figures = {}
    if errors is not None:
        figures = {
            "errors": _png(errors_by_horizon(errors.by_horizon, forecasters, unit)),
            "calibration": _png(calibration(known)),
        }
        if (drawn := examples(known, history, ids, unit)) is not None:
            figures["examples"] = _png(drawn)
    return render(
        "backtest.html.jinja",
        title=f"Backtest of {forecasters[0]}",
        about=about,
        errors=errors,
        unit=unit,
        forecasters=list(forecasters),
        label=label,
        labels=[label(name) for name in forecasters],
        figures=figures,
    )


def errors_by_horizon(
    by_horizon: Mapping[str, Scores], forecasters: Sequence[str], unit: str = DEFAULT_UNIT
) -> Figure:
    """Draws each forecaster's WMAE against the number of weeks ahead."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    horizons = [int(h) for h in by_horizon]
    for name in forecasters:
        axes.plot(horizons, [by_horizon[str(h)][name].wmae for h in horizons], marker="o", label=label(name))
    axes.set(xlabel="weeks ahead", ylabel=f"WMAE, {unit}", title="Error by weeks ahead")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside right upper")
    return figure


def calibration(rows: pd.DataFrame) -> Figure:
    """Draws the observed share of actual sales below each quantile against the nominal one."""
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    shares = [float((rows["actual"] <= rows[name]).mean()) for name in QUANTILES]
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.plot(list(QUANTILES.values()), shares, marker="o")
    axes.set(xlabel="quantile", ylabel="share of actual sales below it", xlim=(0, 1), ylim=(0, 1))
    return figure


def examples(
    rows: pd.DataFrame, history: pd.DataFrame, ids: Ids = PLAIN_IDS, unit: str = DEFAULT_UNIT
) -> Figure | None:
    """Draws forecasts and actual sales of the series with the smallest, the median and the largest WAPE.

    Returns:
        The figure, or None if no series sells anything after the newest origin.
    """
    newest = rows[rows["origin"] == rows["origin"].max()]
    groups = newest.assign(error=(newest["p50"] - newest["actual"]).abs()).groupby(["store", "dept"])
    sums = groups.agg(error=("error", "sum"), actual=("actual", lambda values: values.abs().sum()))
    # A series that sells nothing has no relative error.
    selling = sums[(sums["actual"] > 0) & (sums["actual"] >= sums["actual"].median())]
    order = (selling["error"] / selling["actual"]).sort_values()
    if order.empty:
        return None
    figure = Figure(figsize=(9, 8), layout="constrained")
    ranks = {"best": 0, "median": len(order) // 2, "worst": len(order) - 1}
    for axes, (name, rank) in zip(np.atleast_1d(figure.subplots(3)), ranks.items(), strict=True):
        store, dept = order.index[rank]
        past = history[(history["store"] == store) & (history["dept"] == dept)].sort_values("week")
        ahead = newest[(newest["store"] == store) & (newest["dept"] == dept)].sort_values("target_week")
        last = ahead["target_week"].max()
        shown = past[past["week"] <= last].tail(_HISTORY_WEEKS + len(ahead))
        axes.plot(shown["week"], shown["weekly_sales"], color="black", linewidth=1, label="actual")
        axes.plot(ahead["target_week"], ahead["p50"], marker="o", markersize=3, label="forecast")
        axes.fill_between(ahead["target_week"].to_list(), ahead["p10"], ahead["p90"], alpha=0.3, label="80 %")
        title = f"{name}: {ids.series(store, dept)}, WAPE {order.iloc[rank]:.1%}"
        # A dollar sign in an id begins no formula.
        axes.set_title(title, fontsize=10, parse_math=False)
        axes.set_ylabel(unit, parse_math=False)
    axes.legend(loc="upper left", fontsize=8)
    return figure


def _png(figure: Figure) -> str:
    """Returns the image in base64."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, format="png")
    return base64.b64encode(buffer.getvalue()).decode()
