"""Report of a training for people: a plot of the losses and a sample of the training rows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

from shelfcast.contracts.results import EpochMetrics
from shelfcast.train.data import Shard

matplotlib.use("Agg")
from matplotlib import pyplot

SAMPLE_ROWS = 100


def write_report(folder: Path, epochs: Sequence[EpochMetrics], best_epoch: int, shard: Shard) -> None:
    """Writes data-sample.csv, and loss.png if there are epochs."""
    folder.mkdir(exist_ok=True)
    if epochs:
        _plot_losses(folder / "loss.png", epochs, best_epoch)
    _write_sample(folder / "data-sample.csv", shard)


def _plot_losses(path: Path, epochs: Sequence[EpochMetrics], best_epoch: int) -> None:
    numbers = [epoch.epoch for epoch in epochs]
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(numbers, [epoch.train_loss for epoch in epochs], marker="o", label="training")
    axes.plot(numbers, [epoch.validation_loss for epoch in epochs], marker="o", label="validation")
    axes.axvline(best_epoch, color="grey", linestyle=":", label="kept")
    axes.set(xlabel="epoch", ylabel="weighted quantile loss", xticks=numbers)
    axes.legend()
    figure.savefig(path)
    pyplot.close(figure)


def _write_sample(path: Path, shard: Shard) -> None:
    """Writes evenly spaced training samples of one process; an empty cell is a missing value."""
    rows = np.concatenate([samples.rows for samples in shard.training])
    horizons = np.concatenate([samples.horizons for samples in shard.training])
    chosen = np.linspace(0, len(rows) - 1, min(SAMPLE_ROWS, len(rows))).astype(np.int64)
    rows, horizons = rows[chosen], horizons[chosen]
    table = shard.table
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = [feature.name for feature in table.features]
        writer.writerow(["store", "dept", "origin", "horizon", "target_week", *names, "target"])
        for row, horizon, week, values in zip(
            rows.tolist(),
            horizons.tolist(),
            table.target_week(rows, horizons),
            table.matrix(rows, horizons),
            strict=True,
        ):
            cells = ["" if np.isnan(value) else float(value) for value in values]
            key = [int(table.store[row]), int(table.dept[row]), table.origin[row], horizon, week]
            writer.writerow([*key, *cells, float(table.targets[row, horizon - 1])])
