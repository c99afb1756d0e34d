"""Plots of the backtest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

# A figure made without pyplot draws to PNG on Agg, whatever the machine's display.
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from shelfcast.contracts.results import FORECASTER_LABELS
from shelfcast.contracts.specs import DEFAULT_UNIT
from shelfcast.evaluate.backtest import Backtest
from shelfcast.evaluate.metrics import ByForecaster
from shelfcast.features.samples import Floats

#: Axes are nearly linear below this and logarithmic above: sales span orders of magnitude and may be
#: negative.
_LINEAR = 100.0
_BINS = 80


def plot_residuals(path: Path, backtest: Backtest, unit: str = DEFAULT_UNIT) -> None:
    """Draws the candidate's residuals, actual - forecast, against its forecast and as a histogram."""
    forecast = backtest.forecasts["candidate"]
    residual = backtest.actual - forecast
    figure = Figure(figsize=(10, 4), layout="constrained")
    against, histogram = figure.subplots(1, 2)
    *_, density = against.hist2d(
        forecast, residual, bins=[_edges(forecast), _edges(residual)], norm=LogNorm()
    )
    figure.colorbar(density, label="rows")
    against.axhline(0, color="black", linewidth=0.8)
    against.set_xscale("asinh", linear_width=_LINEAR)
    against.set_yscale("asinh", linear_width=_LINEAR)
    against.set(
        title="Residuals of the candidate", xlabel=f"forecast, {unit}", ylabel=f"actual - forecast, {unit}"
    )
    # The outermost bars hold the tails, which would squeeze the rest into one bar.
    low, high = np.quantile(residual, [0.01, 0.99])
    histogram.hist(np.clip(residual, low, high), bins=_BINS)
    histogram.axvline(0, color="black", linewidth=0.8)
    histogram.set(
        title="1 % on either side in the last bars", xlabel=f"actual - forecast, {unit}", ylabel="rows"
    )
    figure.savefig(path, dpi=110)


def _edges(values: Floats) -> Floats:
    """Returns edges of bins with equal width on the plot's axis."""
    first, last = np.arcsinh((values.min() - 1) / _LINEAR), np.arcsinh((values.max() + 1) / _LINEAR)
    edges: Floats = _LINEAR * np.sinh(np.linspace(first, last, _BINS + 1))
    return edges


def plot_errors_by_horizon(path: Path, slices: Mapping[str, ByForecaster], unit: str = DEFAULT_UNIT) -> None:
    """Draws each forecaster's WMAE against the number of weeks ahead."""
    horizons = {
        int(name.removeprefix("horizon=")): by for name, by in slices.items() if name.startswith("horizon=")
    }
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for name, label in FORECASTER_LABELS.items():
        points = [(horizon, by[name].wmae) for horizon, by in horizons.items() if name in by]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=label)
    axes.set(
        title="Error by weeks ahead", xlabel="weeks ahead", ylabel=f"WMAE, {unit}", xticks=list(horizons)
    )
    axes.set_ylim(bottom=0)
    # Without sales in the test weeks no slice is scored.
    if axes.lines:
        figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=110)
