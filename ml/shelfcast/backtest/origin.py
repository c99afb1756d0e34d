"""One forecast origin: point-in-time features, a model trained on them, its forecasts and the baselines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from shelfcast.backtest.folder import Folder, Series
from shelfcast.baselines import gradient_boosting, seasonal
from shelfcast.calendar import WEEK
from shelfcast.contracts.model import MAX_AGE_DAYS
from shelfcast.contracts.results import GATE_BASELINES, JobError, TrainResult
from shelfcast.contracts.specs import Preset, Snapshot, TrainSpec
from shelfcast.contracts.wire import default, encode, read_json
from shelfcast.evaluate.model import load_model
from shelfcast.evaluate.naive_errors import naive_errors
from shelfcast.features import training_data
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.enough_weeks import check_weeks
from shelfcast.features.open_weeks import OPEN_AHEAD
from shelfcast.features.own_holidays import holiday_flag
from shelfcast.features.sales_history import SalesGrid, aggregate
from shelfcast.features.samples import Floats, Integers, OriginTable, read_origin_table
from shelfcast.features.training_data import ForecastRequest
from shelfcast.features.version import feature_set_version
from shelfcast.job import UserError, path_of, write_json
from shelfcast.models.presets import PRESETS
from shelfcast.snapshot import EXTRAS, RAW_TABLES, SALES, STORE_WEEKS, STORES, content_hash

#: Keys of the baselines. The naive ones are always computed; the others are slow and optional.
BASELINES: tuple[str, ...] = (*GATE_BASELINES, "seasonal_methods", "lightgbm")
#: Upper bound of LightGBM's training samples, drawn evenly; more take minutes and change little.
_LIGHTGBM_SAMPLES = 400_000
_SEED = 7
#: Default number of training processes, as in a pipeline; one on a machine with one processor.
DEFAULT_PROCESSES: int = min(default(TrainSpec, "processes"), os.cpu_count() or 1)


@dataclass(frozen=True)
class Settings:
    """Settings of a backtest.

    Attributes:
        horizon_weeks: Weeks ahead.
        preset: Preset of the model.
        baselines: Keys of the baselines to compute.
        processes: Number of training processes.
        max_epochs: Upper bound of epochs.
        validation_weeks: Target weeks before the origin, for early stopping and interval calibration.
        seed: Seed of initial weights and shuffling.
    """

    horizon_weeks: int
    preset: Preset
    baselines: tuple[str, ...]
    processes: int = DEFAULT_PROCESSES
    max_epochs: int = default(TrainSpec, "max_epochs")
    validation_weeks: int = default(TrainSpec, "validation_weeks")
    seed: int = default(TrainSpec, "seed")


@dataclass(frozen=True)
class Origin:
    """Data known at an origin.

    Attributes:
        week: The origin.
        folder: Folder with ``features`` and, if a model was trained at this origin, ``train``.
        tables: Tables of the source up to the origin.
        features: Feature set of the source.
        table: Features; each series to forecast has a row at the origin.
        left_out: Series whose department has no known sales so far in any store.
    """

    week: date
    folder: Path
    tables: Mapping[str, pa.Table]
    features: FeatureSet
    table: OriginTable
    left_out: tuple[Series, ...]

    @property
    def rows(self) -> Integers:
        """Rows of the table at the origin, of the series to forecast."""
        table, unknown = self.table, [dept for _, dept in self.left_out]
        return np.flatnonzero((table.origin == np.datetime64(self.week)) & ~np.isin(table.dept, unknown))

    @property
    def grid(self) -> SalesGrid:
        """Sales up to the origin."""
        return training_data.grid_of(self.tables[SALES.name], self.tables[EXTRAS.name])


def prepare(source: Folder, week: date, directory: Path, settings: Settings) -> Origin:
    """Computes the features from the data known at the end of the week.

    A series is forecast if it has known sales before, or if it has a row before or later and its department
    has known sales before. Later weeks then contribute only the existence of the series.

    Raises:
        UserError: There are too few weeks to train and to validate on.
    """
    tables = source.known_at(week)
    sales, extras = tables[SALES.name], tables[EXTRAS.name]
    grid = training_data.grid_of(sales, extras)
    check_weeks(grid, settings.horizon_weeks, settings.validation_weeks, test_weeks=0)
    before = set(zip(grid.store.tolist(), grid.dept.tolist(), strict=True))
    later = source.series(week + WEEK, week + settings.horizon_weeks * WEEK) - before
    departments = set(grid.dept[has_sales(grid)].tolist())
    new = {(store, dept) for store, dept in later if dept in departments}
    left_out = {(store, dept) for store, dept in before | later if dept not in departments}
    features = FeatureSet(settings.horizon_weeks, source.columns)
    folder = directory / week.isoformat()
    (folder / "features").mkdir(parents=True, exist_ok=True)
    training_data.write(
        folder / "features",
        sales,
        tables[STORE_WEEKS.name],
        tables[STORES.name],
        features,
        extras,
        ForecastRequest((week,), tuple(sorted(new))),
        source.ids,
        source.levels,
    )
    table = read_origin_table(folder / "features")
    return Origin(week, folder, tables, features, table, tuple(sorted(left_out)))


def train(origin: Origin, settings: Settings) -> Path:
    """Trains a model on the known data and returns its folder; a killed training resumes.

    The training of another spec is removed: other data, or other settings.

    Raises:
        UserError: There are too few data, or a setting is invalid.
        RuntimeError: The training failed.
    """
    directory = origin.folder / "train"
    spec = _train_spec(origin, settings)
    if not _is_of(spec, directory):
        shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(exist_ok=True)
    write_json(directory / "spec.json", spec)
    # The error of an earlier start says nothing about this one.
    (directory / "error.json").unlink(missing_ok=True)
    log = directory / "train.log"
    code = _run_training(directory, spec.processes, log)
    if (directory / "error.json").exists():
        error = read_json(JobError, directory / "error.json")
        raise UserError(error.type, f"origin {origin.week}: {error.message}")
    if code != 0:
        raise RuntimeError(f"the training of origin {origin.week} failed (exit code {code}): see {log}")
    return path_of(read_json(TrainResult, directory / "result.json").model_uri)


def _run_training(directory: Path, processes: int, log: Path) -> int:
    """Runs the training job of the folder in processes of its own; returns the exit status."""
    launcher = ["shelfcast.ranks", "--processes", str(processes)] if processes > 1 else []
    program = ["-m", *launcher, "shelfcast.train", "--dir", directory.absolute().as_uri()]
    with log.open("w", encoding="utf-8") as file:
        return subprocess.run([sys.executable, *program], stdout=file, stderr=file, check=False).returncode


def _train_spec(origin: Origin, settings: Settings) -> TrainSpec:
    # The tables come from a folder: no load batch holds them.
    snapshot = Snapshot(
        id=f"backtest-{origin.week}",
        dataset="backtest",
        batch_id=0,
        content_hash=content_hash(
            {raw.name: raw.in_key_order(origin.tables[raw.name]) for raw in RAW_TABLES}
        ),
        row_count=len(origin.tables[SALES.name]),
        series_count=len(origin.grid.store),
        first_week=origin.table.origin.min().item(),
        last_week=origin.week,
    )
    return TrainSpec(
        snapshot=snapshot,
        feast_project="backtest",
        feature_set_version=feature_set_version(origin.features),
        training_data_uri=(origin.folder / "features").absolute().as_uri(),
        horizon_weeks=settings.horizon_weeks,
        test_weeks=0,
        validation_weeks=settings.validation_weeks,
        preset=settings.preset,
        processes=settings.processes,
        max_epochs=settings.max_epochs,
        seed=settings.seed,
    )


def _is_of(spec: TrainSpec, directory: Path) -> bool:
    """Whether the folder holds a training of this spec."""
    previous = directory / "spec.json"
    return previous.exists() and json.loads(previous.read_text(encoding="utf-8")) == encode(spec)


def forecast(
    origin: Origin, model: Path, trees: gradient_boosting.GradientBoosting | None, settings: Settings
) -> pd.DataFrame:
    """Returns a row for each series and horizon: keys, quantiles, baselines, and columns for the metrics.

    Columns: origin, store, dept, target_week, horizon, p2_5, p10, p50, p90, p97_5, one for each baseline;
        then is_current (see there), holiday, store_type, mean_sales (US dollars, an estimate for a new
        series), age_weeks (NaN for a new one), scale (see ``naive_errors``).
    """
    table, ahead = origin.table, np.arange(1, settings.horizon_weeks + 1)
    rows, horizons = np.repeat(origin.rows, len(ahead)), np.tile(ahead, len(origin.rows))
    matrix = table.matrix(rows, horizons)
    values = {f.name: matrix[:, column] for column, f in enumerate(table.features)}
    store, dept = table.store[rows], table.dept[rows]
    weeks = [origin.week + int(h) * WEEK for h in ahead]
    scales = naive_errors(origin.folder / "features", np.datetime64(origin.week + WEEK))
    loaded = load_model(model.absolute().as_uri(), "candidate", "backtest", table.features)
    quantiles = loaded.predict(matrix, store, dept, horizons).astype(np.float64)
    columns = {
        "origin": origin.week,
        "store": store,
        "dept": dept,
        "target_week": np.tile(np.array(weeks, dtype=object), len(origin.rows)),
        "horizon": horizons,
        **{
            f"p{100 * q:g}".replace(".", "_"): quantiles[:, column]
            for column, q in enumerate(loaded.manifest.quantiles)
        },
        **_simple_baselines(origin, settings, store, dept, horizons, values["last_year"]),
        **({} if trees is None else {"lightgbm": trees.predict(table, rows, horizons)}),
        "is_current": is_current(origin.grid)[series_indices(origin.grid, store, dept)],
        "holiday": values[holiday_flag(values)] == 1,
        "store_type": values["type_code"],
        "mean_sales": values["rolling_mean_52"],
        "age_weeks": values["weeks_since_first"],
        "scale": scales.of(store, dept),
    }
    frame = pd.DataFrame(columns)
    if OPEN_AHEAD in values:
        # The model's graph does this by itself.
        frame.loc[values[OPEN_AHEAD] == 0, list(settings.baselines)] = 0.0
    return frame


def _simple_baselines(
    origin: Origin, settings: Settings, store: Integers, dept: Integers, horizons: Integers, last_year: Floats
) -> dict[str, Floats]:
    """Returns the naive and seasonal forecasts by name of the baseline, US dollars [N]."""
    grid = origin.grid
    index = series_indices(grid, store, dept)
    # A series without known sales so far gets the newest mean of its department.
    naive = np.where(index < 0, _newest_of_departments(grid, dept), _newest(grid.sales)[index])
    seasonal_naive = np.where(np.isnan(last_year) | (index < 0), naive, last_year)
    baselines = {"naive": naive, "seasonal_naive": seasonal_naive}
    if "seasonal_methods" in settings.baselines:
        average = seasonal.seasonal_forecasts(grid, settings.horizon_weeks)["average_shifted"]
        baselines["seasonal_methods"] = np.where(index < 0, seasonal_naive, average[index, horizons - 1])
    return baselines


def fit_lightgbm(origin: Origin, settings: Settings) -> gradient_boosting.GradientBoosting | None:
    """Fits LightGBM to the known samples; returns None if it is not among the baselines."""
    if "lightgbm" not in settings.baselines:
        return None
    first, last = origin.table.origin.min(), np.datetime64(origin.week)
    rows, horizons = origin.table.samples(first, last)
    drawn = np.random.default_rng(_SEED).permutation(len(rows))[:_LIGHTGBM_SAMPLES]
    return gradient_boosting.fit(origin.table, rows[drawn], horizons[drawn])


def series_indices(grid: SalesGrid, store: Integers, dept: Integers) -> Integers:
    """Returns the index of each row's series in the grid, -1 for a series without known sales in it."""
    known = np.flatnonzero(has_sales(grid))
    keys = zip(grid.store[known].tolist(), grid.dept[known].tolist(), known.tolist(), strict=True)
    indices = {(of_store, of_dept): n for of_store, of_dept, n in keys}
    return np.array([indices.get(key, -1) for key in zip(store.tolist(), dept.tolist(), strict=True)])


def has_sales(grid: SalesGrid) -> NDArray[np.bool_]:
    """Returns whether any sales of each series are known, [series]."""
    unknown: NDArray[np.bool_] = np.isnan(grid.sales)
    return np.asarray(~unknown.all(axis=1))


def is_current(grid: SalesGrid) -> NDArray[np.bool_]:
    """Returns whether totals of the endpoint count each series, and at last that they count no other.

    They count those with known sales whose newest feature row, of a hidden week or not, is recent
    [series + 1].
    """
    newest = grid.sales.shape[1] - 1 - grid.has_row[:, ::-1].argmax(axis=1)
    age_days = (grid.weeks[-1] - grid.weeks[newest]).astype(np.int64)
    return np.append(has_sales(grid) & (age_days <= MAX_AGE_DAYS), False)


def _newest(sales: Floats) -> Floats:
    """Returns the newest known value of each series."""
    known = ~np.isnan(sales)
    newest = sales.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
    values: Floats = sales[np.arange(len(sales)), newest]
    return values


def _newest_of_departments(grid: SalesGrid, dept: Integers) -> Floats:
    """Returns the newest known mean sales per store of each row's department, US dollars."""
    known = aggregate(grid)
    values: Floats = _newest(known.department_sales)[np.searchsorted(known.departments, dept)]
    return values


def check_preset(name: str) -> Preset:
    """Returns the preset of that name.

    Raises:
        UserError: ``InvalidInput``: there is none.
    """
    for preset in PRESETS:
        if preset == name:
            return preset
    raise UserError("InvalidInput", f"--preset: {name} is none of {', '.join(PRESETS)}")


def check_baselines(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the requested baselines and the naive ones, in the order of ``BASELINES``.

    Raises:
        UserError: ``InvalidInput``: a baseline is unknown.
    """
    if unknown := [name for name in names if name not in BASELINES]:
        raise UserError(
            "InvalidInput", f"--baselines: {', '.join(unknown)} is none of {', '.join(BASELINES)}"
        )
    return tuple(name for name in BASELINES if name in names or name in GATE_BASELINES)
