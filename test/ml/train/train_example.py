"""A small generated data set, as the features job leaves it, and a training on it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from shelfcast.contracts.specs import Snapshot, TrainSpec
from shelfcast.contracts.wire import encode
from shelfcast.features import training_data
from shelfcast.features.definitions import FeatureSet
from shelfcast.ingest.generator import generate

STORES, DEPARTMENTS, WEEKS, HORIZON_WEEKS = 5, 4, 90, 4


@dataclass(frozen=True)
class Example:
    """A training data folder and the spec of a training on it."""

    folder: Path
    spec: TrainSpec

    def job(self, directory: Path, **changed: Any) -> Path:
        """Makes a job's folder with the spec, some values of its JSON changed."""
        directory.mkdir()
        (directory / "spec.json").write_text(json.dumps({**encode(self.spec), **changed}), encoding="utf-8")
        return directory


def write_example(folder: Path, add_usd_from_week: int = WEEKS, add_usd: float = 0.0) -> Example:
    """Writes the data set; from that week on, all sales may be higher."""
    folder.mkdir()
    tables = generate(STORES, DEPARTMENTS, WEEKS, seed=3).tables
    sales = tables["sales"]
    weeks = sales["week"].to_numpy().astype("datetime64[D]")
    first = weeks.min()
    later = weeks >= first + 7 * add_usd_from_week
    changed = sales["weekly_sales"].to_numpy() + np.where(later, add_usd, 0.0)
    sales = sales.set_column(sales.schema.get_field_index("weekly_sales"), "weekly_sales", pa.array(changed))
    version = training_data.write(
        folder, sales, tables["store_week"], tables["store"], FeatureSet(HORIZON_WEEKS)
    )
    snapshot = Snapshot(
        id="example-1-000000000000",
        dataset="example",
        batch_id=1,
        content_hash="",
        row_count=len(sales),
        series_count=STORES * DEPARTMENTS,
        first_week=first.item(),
        last_week=weeks.max().item(),
    )
    spec = TrainSpec(
        snapshot=snapshot,
        feast_project="example",
        feature_set_version=version,
        training_data_uri=folder.as_uri(),
        horizon_weeks=HORIZON_WEEKS,
        test_weeks=6,
        validation_weeks=6,
        processes=2,
        max_epochs=2,
        batch_size=256,
        learning_rate=0.002,
        seed=7,
    )
    return Example(folder, spec)


def start(directory: Path, processes: int = 2) -> subprocess.Popen[str]:
    """Starts a training, or starts it again, as the platform does."""
    return _start(processes, "shelfcast.train", "--dir", directory.as_uri())


def run_in_processes(module: str, *arguments: str) -> tuple[int, str]:
    """Runs a module of this folder in two processes; returns the exit status and what they printed."""
    return finish(_start(2, module, *arguments))


def _start(processes: int, *program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "shelfcast.ranks", "--processes", str(processes), *program],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Waits for a training; returns its exit status and what it printed."""
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


def result(directory: Path) -> dict[str, Any]:
    """Returns the TrainResult."""
    return json.loads((directory / "result.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def epochs_reported(directory: Path) -> int:
    """Returns how many epochs the training has told of."""
    return sum("epoch" in line for line in progress(directory))


def progress(directory: Path) -> list[dict[str, Any]]:
    """Returns the lines that the training has told."""
    path = directory / "progress.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]
