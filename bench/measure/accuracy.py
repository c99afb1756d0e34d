"""``accuracy.py [FOLDER] [--presets NAMES]``: errors of presets and baselines on held-out weeks, as JSON.

The sales are a folder in the Walmart layout, or generated. The last 26 weeks (8 of generated sales) are
forecast twice, by models that are trained once, on the weeks before: from the origin of each week for one to
eight weeks ahead, and from the first origin for all of them. Prints one line by group of weeks ahead (``h1``,
``h1to8``, ``long``): ``{"h1": {"global": {"wmae": .., "wape": .., "coverage80": ..}, ..}, ..}``, all of a
group on the same rows; ``oracle`` is the generator's own mean, a lower bound of the error. With ``--presets``
it measures only these presets and the naive forecasts, in minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from shelfcast.backtest import folder as folders
from shelfcast.backtest.folder import Folder
from shelfcast.backtest.origin import (
    Origin,
    Settings,
    check_preset,
    fit_lightgbm,
    forecast,
    prepare,
    series_indices,
    train,
)
from shelfcast.baselines import gradient_boosting, seasonal
from shelfcast.calendar import WEEK
from shelfcast.contracts.specs import Preset
from shelfcast.evaluate.metrics import coverage, wape, wmae
from shelfcast.ingest.generator import generate
from shelfcast.models.presets import PRESETS

HORIZON_WEEKS = 8
KEYS = ["origin", "store", "dept", "target_week", "horizon"]


def main(path: str | None, presets: Sequence[Preset] | None) -> dict[str, object]:
    """Returns the errors."""
    with tempfile.TemporaryDirectory() as scratch:
        oracle, test_weeks = None, 26
        if path is None:
            generated = generate(45, 14, 104, 7)
            source, oracle, test_weeks = Folder(generated.tables, ()), generated.oracle, 8
        else:
            source = folders.read(Path(path), Path(scratch) / "bad-rows.csv")
        last = source.weeks[1]
        origins = [last - n * WEEK for n in range(test_weeks, 0, -1)]
        short = rolling(source, origins, Path(scratch) / "short", oracle, presets)
        single = one_origin(source, origins[0], test_weeks, Path(scratch) / "long", oracle, presets)
        return {
            "testFirstWeek": str(origins[0] + WEEK),
            "testLastWeek": str(last),
            "h1": errors(short[short["horizon"] == 1]),
            f"h1to{HORIZON_WEEKS}": errors(short.drop(columns="lightgbm_four", errors="ignore")),
            "long": errors(single),
        }


def rolling(
    source: Folder,
    origins: Sequence[date],
    directory: Path,
    oracle: pa.Table | None,
    presets: Sequence[Preset] | None,
) -> pd.DataFrame:
    """Returns the forecasts of the presets, of LightGBM and of the naive baselines from each origin."""
    naive = ("naive", "seasonal_naive")
    settings = Settings(HORIZON_WEEKS, "global", naive if presets else (*naive, "lightgbm"))
    first = prepare(source, origins[0], directory / "first", settings)
    models = {preset: train_preset(first, preset, settings) for preset in presets or PRESETS}
    trees, four = fit_lightgbm(first, settings), None if presets else average_of_four(first)
    frames = []
    for week in origins:
        origin = prepare(source, week, directory, settings)
        frame = None
        for preset, model in models.items():
            made = forecast(origin, model, trees if frame is None else None, settings)
            frame = made if frame is None else frame
            frame[[preset, f"{preset} p10", f"{preset} p90"]] = made[["p50", "p10", "p90"]]
        rows, horizons = np.repeat(origin.rows, HORIZON_WEEKS), frame["horizon"].to_numpy()
        if four is not None:
            ahead = four.predict(origin.table, rows, horizons)
            frame["lightgbm_four"] = np.where(horizons == 1, ahead, np.nan)
        frames.append(frame)
        print(f"origin {week}", file=sys.stderr, flush=True)
    return with_actuals(pd.concat(frames, ignore_index=True), source, oracle)


def one_origin(
    source: Folder,
    week: date,
    weeks_ahead: int,
    directory: Path,
    oracle: pa.Table | None,
    presets: Sequence[Preset] | None,
) -> pd.DataFrame:
    """Returns the forecasts of the default preset and of each seasonal method, all from one origin.

    Given presets take the place of both.
    """
    settings = Settings(weeks_ahead, "global", ("naive", "seasonal_naive"))
    origin = prepare(source, week, directory, settings)
    rows = None
    for preset in presets or ("global",):
        made = forecast(origin, train_preset(origin, preset, settings), None, settings)
        rows = made if rows is None else rows
        rows[[preset, f"{preset} p10", f"{preset} p90"]] = made[["p50", "p10", "p90"]]
    if presets:
        return with_actuals(rows, source, oracle)
    grid = origin.grid
    series = series_indices(grid, rows["store"].to_numpy(), rows["dept"].to_numpy())
    for name, values in seasonal.seasonal_forecasts(grid, weeks_ahead).items():
        known = values[series, rows["horizon"].to_numpy() - 1]
        rows[f"seasonal {name}"] = np.where(series < 0, rows["naive"], known)
    return with_actuals(rows, source, oracle)


def train_preset(origin: Origin, preset: Preset, settings: Settings) -> Path:
    """Trains a preset and returns the model's folder."""
    own = replace(origin, folder=origin.folder / preset)
    own.folder.mkdir(exist_ok=True)
    (own.folder / "features").symlink_to(origin.folder / "features")
    return train(own, replace(settings, preset=preset))


def average_of_four(origin: Origin) -> gradient_boosting.GradientBoosting:
    """Fits the four LightGBM models to all samples of one week ahead."""
    rows, horizons = origin.table.samples(origin.table.origin.min(), np.datetime64(origin.week))
    one = horizons == 1
    return gradient_boosting.average_of_four(origin.table, rows[one], horizons[one])


def with_actuals(rows: pd.DataFrame, source: Folder, oracle: pa.Table | None) -> pd.DataFrame:
    """Returns the rows whose target week is in the folder, with the actual sales."""
    known = source.with_actuals(rows).dropna(subset="actual")
    if oracle is None:
        return known
    means = oracle.to_pandas().rename(columns={"week": "target_week", "expected_sales": "oracle"})
    keys = ["store", "dept", "target_week"]
    return known.merge(means[[*keys, "oracle"]], on=keys)


def errors(rows: pd.DataFrame) -> dict[str, object]:
    """Returns the errors of each forecaster."""
    actual, holiday = rows["actual"].to_numpy(), rows["holiday"].to_numpy()
    beside = {*KEYS, "actual", "holiday", "is_current", "store_type", "mean_sales", "age_weeks", "scale"}
    points = [name for name in rows.columns if name not in beside and not name.startswith("p")]
    result: dict[str, object] = {"rows": len(rows)}
    for name in points:
        if name.endswith((" p10", " p90")):
            continue
        values = rows[name].to_numpy()
        errors_of = {"wmae": wmae(values, actual, holiday), "wape": wape(values, actual)}
        if f"{name} p10" in rows:
            errors_of["coverage80"] = coverage(rows[[f"{name} p10", f"{name} p90"]].to_numpy(), actual)
        result[name] = errors_of
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--presets", type=lambda names: [check_preset(name) for name in names.split(",")])
    options = parser.parse_args()
    print(json.dumps(main(options.folder, options.presets)))
