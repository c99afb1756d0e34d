"""The backtest as a page that needs nothing but itself: tables and pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from shelfcast.backtest.scores import QUANTILES, Scores

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222;
  margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { text-align: right; padding: .3rem .7rem; border-bottom: 1px solid #ddd;
  font-variant-numeric: tabular-nums }
th:first-child, td:first-child { text-align: left }
.best { font-weight: 700 }
img { max-width: 100%; display: block; margin: 1rem 0 }
"""
_LABELS = {
    "naive": "naive (last week)",
    "seasonal_naive": "seasonal naive (last year)",
    "seasonal_average": "seasonal average",
    "lightgbm": "LightGBM",
}
#: Weeks of the past in the pictures of series.
_SHOWN_WEEKS = 60


def label(name: str) -> str:
    """Returns how a forecaster is called for people."""
    return _LABELS.get(name, name)


def page(
    title: str,
    about: Mapping[str, str],
    metrics: Mapping[str, Any],
    rows: pd.DataFrame,
    history: pd.DataFrame,
    forecasters: Sequence[str],
) -> str:
    """Returns the HTML.

    Args:
        title: Of the page.
        about: What was done, by its name.
        metrics: As metrics.json has them; without actuals there are no tables.
        rows: Forecasts, with ``actual`` NaN where it is not known.
        history: Sales (store, dept, week, weekly_sales).
        forecasters: The model first.
    """
    facts = "".join(f"<li>{escape(name)}: {escape(text)}</li>" for name, text in about.items())
    known = rows[rows["actual"].notna()]
    parts = [f"<ul>{facts}</ul>"]
    if len(known) == 0:
        parts.append(
            "<p>The folder holds no sales after the origins, so there is nothing to compare with.</p>"
        )
    else:
        parts += [
            "<h2>Error</h2>",
            _overall(metrics["overall"]),
            _image(errors_by_horizon(metrics["byHorizon"], forecasters)),
            "<h2>Sums over departments (WAPE)</h2>",
            _sums(metrics["sums"], forecasters),
            "<h2>Slices (WMAE)</h2>",
            _slices(metrics["slices"], forecasters),
            "<h2>How often actual sales stay below a quantile</h2>",
            _image(calibration(known)),
            "<h2>Best, median and worst series</h2>",
            _image(examples(known, history)),
        ]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def _overall(scores: Scores) -> str:
    head = "".join(
        f"<th>{name}</th>" for name in ("", "WMAE", "WAPE", "MASE", "RMSE", "bias", "80 %", "95 %")
    )
    best = min(by["wmae"] for by in scores.values())
    lines = []
    for name, by in scores.items():
        cells = [
            f"${by['wmae']:,.0f}",
            _percent(by["wape"]),
            "" if by["mase"] is None else f"{by['mase']:.3f}",
            f"${by['rmse']:,.0f}",
            f"${by['bias']:,.0f}",
            _percent(by.get("coverage80")),
            _percent(by.get("coverage95")),
        ]
        mark = ' class="best"' if by["wmae"] == best else ""
        lines.append(f"<tr{mark}><td>{escape(label(name))}</td>" + _cells(cells) + "</tr>")
    rows = next(iter(scores.values()))["rows"]
    return f"<p>{rows:,} forecasts.</p><table><tr>{head}</tr>{''.join(lines)}</table>"


def _slices(by_slice: Mapping[str, Scores], forecasters: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in ("slice", "rows", *map(label, forecasters), "80 %"))
    lines = []
    for name, scores in by_slice.items():
        model = scores[forecasters[0]]
        errors = [f"${scores[forecaster]['wmae']:,.0f}" for forecaster in forecasters]
        cells = [f"{model['rows']:,}", *errors, _percent(model["coverage80"])]
        lines.append(f"<tr><td>{escape(name)}</td>{_cells(cells)}</tr>")
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _sums(by_level: Mapping[str, Mapping[str, float]], forecasters: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in ("level", *map(label, forecasters)))
    lines = [
        f"<tr><td>{escape(level)}</td>{_cells([_percent(wapes[name]) for name in forecasters])}</tr>"
        for level, wapes in by_level.items()
    ]
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _cells(texts: Sequence[str]) -> str:
    return "".join(f"<td>{text}</td>" for text in texts)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def errors_by_horizon(by_horizon: Mapping[str, Scores], forecasters: Sequence[str]) -> Figure:
    """Draws each forecaster's WMAE against the number of weeks ahead."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    horizons = [int(h) for h in by_horizon]
    for name in forecasters:
        axes.plot(
            horizons, [by_horizon[str(h)][name]["wmae"] for h in horizons], marker="o", label=label(name)
        )
    axes.set(xlabel="weeks ahead", ylabel="WMAE, USD", title="Error by weeks ahead")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside right upper")
    return figure


def calibration(rows: pd.DataFrame) -> Figure:
    """Draws how often actual sales were below each quantile against how often they should be."""
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    found = [float((rows["actual"] <= rows[name]).mean()) for name in QUANTILES]
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.plot(list(QUANTILES.values()), found, marker="o")
    axes.set(xlabel="quantile", ylabel="share of actual sales below it", xlim=(0, 1), ylim=(0, 1))
    return figure


def examples(rows: pd.DataFrame, history: pd.DataFrame) -> Figure:
    """Draws forecasts and actual sales of the series with the smallest, the median and the largest WAPE."""
    newest = rows[rows["origin"] == rows["origin"].max()]
    groups = newest.assign(error=(newest["p50"] - newest["actual"]).abs()).groupby(["store", "dept"])
    sums = groups.agg(error=("error", "sum"), actual=("actual", lambda values: values.abs().sum()))
    # Of series that sell something: one that sells nothing has no relative error.
    selling = sums[sums["actual"] >= sums["actual"].median()]
    order = (selling["error"] / selling["actual"]).sort_values()
    figure = Figure(figsize=(9, 8), layout="constrained")
    places = {"best": 0, "median": len(order) // 2, "worst": len(order) - 1}
    for axes, (name, place) in zip(np.atleast_1d(figure.subplots(3)), places.items(), strict=True):
        store, dept = order.index[place]
        past = history[(history["store"] == store) & (history["dept"] == dept)].sort_values("week")
        ahead = newest[(newest["store"] == store) & (newest["dept"] == dept)].sort_values("target_week")
        last = ahead["target_week"].max()
        shown = past[past["week"] <= last].tail(_SHOWN_WEEKS + len(ahead))
        axes.plot(shown["week"], shown["weekly_sales"], color="black", linewidth=1, label="actual")
        axes.plot(ahead["target_week"], ahead["p50"], marker="o", markersize=3, label="forecast")
        axes.fill_between(ahead["target_week"].to_list(), ahead["p10"], ahead["p90"], alpha=0.3, label="80 %")
        axes.set_title(f"{name}: store {store}, dept {dept}, WAPE {order.iloc[place]:.1%}", fontsize=10)
        axes.set_ylabel("USD")
    axes.legend(loc="upper left", fontsize=8)
    return figure


def _image(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, format="png")
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
