"""Reader of the training data folder: feature matrices for series, origins and numbers of weeks ahead.

Training and evaluation both use it, so the order of the matrix's columns is decided in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shelfcast.contracts.model import ModelFeature
from shelfcast.contracts.wire import read_json
from shelfcast.ids import PLAIN_IDS, Ids, read_ids_file
from shelfcast.levels import NO_LEVELS, Levels, read_levels_file

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Weeks = NDArray[np.datetime64]

#: One week in the dates of NumPy.
NUMPY_WEEK = np.timedelta64(7, "D")
_HORIZON = "{horizon}"

Part = Literal["fixed", "ahead", "calendar"]


@dataclass(frozen=True, kw_only=True)
class TrainingDataDescription:
    """Content of ``features.json``.

    Attributes:
        feature_set_version: Version of the feature definitions.
        horizon_weeks: Largest number of weeks ahead.
        features: Features that a model may use, in the order of the matrix.
        hidden_weeks: Number of weeks in which series were shut or out of stock, which are no targets; None
            for no such week.
    """

    feature_set_version: str
    horizon_weeks: int
    features: list[ModelFeature]
    hidden_weeks: int | None = None


def _part(feature: ModelFeature) -> Part:
    if feature.view == "calendar":
        return "calendar"
    return "ahead" if _HORIZON in feature.column else "fixed"


@dataclass(frozen=True)
class OriginTable:
    """Table of R rows, one for each series and origin week, in the order of the files.

    Attributes:
        features: Features that a model may use, in the order of the matrix.
        store: Store number [R].
        dept: Department number [R].
        origin: Newest week that the features know, days [R].
        targets: Sales in the week origin + 7h days, US dollars [R, H]; NaN where there is no row.
        fixed: Features that do not depend on the number of weeks ahead [R, A].
        ahead: Features for each number of weeks ahead [R, H, B].
        calendar: Calendar features of each week from ``first_week`` on [W, C].
        first_week: First week of ``calendar``.
        ids: Ids of stores, departments and store types.
        levels: Levels of the series.
        hidden_weeks: Number of weeks in which series were shut or out of stock, which are no targets.
    """

    features: tuple[ModelFeature, ...]
    store: Integers
    dept: Integers
    origin: Weeks
    targets: Floats
    fixed: Floats
    ahead: Floats
    calendar: Floats
    first_week: np.datetime64
    ids: Ids = PLAIN_IDS
    levels: Levels = NO_LEVELS
    hidden_weeks: int = 0

    @property
    def horizon_weeks(self) -> int:
        """Largest number of weeks ahead, H."""
        return int(self.targets.shape[1])

    def target_week(self, rows: Integers, horizons: Integers) -> Weeks:
        """Returns the target weeks of N rows, ``horizons`` weeks ahead, days [N]."""
        return self.origin[rows] + horizons * NUMPY_WEEK

    def matrix(self, rows: Integers, horizons: Integers) -> Floats:
        """Returns the features of N rows, ``horizons`` weeks ahead, [N, F]; NaN where a value is missing."""
        parts = {
            "fixed": self.fixed[rows],
            "ahead": self.ahead[rows, horizons - 1],
            "calendar": self.calendar[self.calendar_row[rows] + horizons],
        }
        return np.concatenate([parts[part][:, columns] for part, columns in self.runs], axis=1)

    @cached_property
    def calendar_row(self) -> Integers:
        """Row of ``calendar`` at each origin [R]; the rows after it are the weeks ahead."""
        weeks: Integers = (self.origin - self.first_week) // NUMPY_WEEK
        return weeks

    @cached_property
    def runs(self) -> list[tuple[Part, slice]]:
        """Column slices of the parts, in the order in which the matrix concatenates them."""
        runs: list[tuple[Part, slice]] = []
        used: dict[Part, int] = {"fixed": 0, "ahead": 0, "calendar": 0}
        for part, features in groupby(self.features, _part):
            start = used[part]
            used[part] += len(list(features))
            runs.append((part, slice(start, used[part])))
        return runs

    def samples(self, first_target: np.datetime64, last_target: np.datetime64) -> tuple[Integers, Integers]:
        """Returns row [N] and weeks ahead [N] of all known targets in the weeks from first to last."""
        horizons = np.arange(1, self.horizon_weeks + 1)
        weeks = self.origin[:, None] + horizons * NUMPY_WEEK
        wanted = (weeks >= first_target) & (weeks <= last_target) & ~np.isnan(self.targets)
        rows, columns = np.nonzero(wanted)
        return rows, columns + 1


def series_files(folder: Path) -> list[Path]:
    """Returns the series files of the folder, in order; a series lies in one file."""
    files = sorted(folder.glob("series-*.parquet"))
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no series-*.parquet: it is not the features job's training data"
        )
    return files


def read_description(folder: Path) -> TrainingDataDescription:
    """Returns the content of ``features.json``.

    Raises:
        ContractError: Another version of shelfcast wrote it.
    """
    return read_json(TrainingDataDescription, folder / "features.json")


def read_origin_table(
    folder: Path, files: Sequence[Path] | None = None, first_origin: np.datetime64 | None = None
) -> OriginTable:
    """Reads the training data folder.

    Args:
        folder: Training data of the features job.
        files: Series files to read; all of the folder if None.
        first_origin: First origin to read; all if None.

    Raises:
        FileNotFoundError: The folder holds no training data.
        ValueError: The calendar lacks a week.
    """
    description = read_description(folder)
    features = description.features
    horizons = range(1, description.horizon_weeks + 1)
    wanted = None if first_origin is None else pc.field("origin") >= first_origin.astype("O")
    # An empty list is not None: a process without files must not read every series.
    paths = series_files(folder) if files is None else files
    table = pa.concat_tables(pq.read_table(path, filters=wanted) for path in paths)
    calendar = pq.read_table(folder / "calendar.parquet")
    weeks = calendar["week"].to_numpy().astype("datetime64[D]")
    if np.any(np.diff(weeks) != NUMPY_WEEK):
        raise ValueError(f"{folder / 'calendar.parquet'} does not hold every week once, in order")

    def columns(part: Part) -> list[str]:
        return [feature.column for feature in features if _part(feature) == part]

    return OriginTable(
        features=tuple(features),
        store=table["store"].to_numpy(),
        dept=table["dept"].to_numpy(),
        origin=table["origin"].to_numpy().astype("datetime64[D]"),
        targets=_matrix(table, [f"target_h{h}" for h in horizons]),
        fixed=_matrix(table, columns("fixed")),
        ahead=np.stack(
            [_matrix(table, [name.replace(_HORIZON, str(h)) for name in columns("ahead")]) for h in horizons],
            axis=1,
        ),
        calendar=_matrix(calendar, columns("calendar")),
        first_week=weeks[0],
        ids=read_ids_file(folder),
        levels=read_levels_file(folder),
        hidden_weeks=description.hidden_weeks or 0,
    )


def _matrix(table: pa.Table, columns: list[str]) -> Floats:
    """Returns the columns as a matrix [rows, columns]; null becomes NaN."""
    arrays = [table[column].to_numpy().astype(np.float64, copy=False) for column in columns]
    return np.stack(arrays, axis=1) if arrays else np.empty((len(table), 0))
