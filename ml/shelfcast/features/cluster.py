"""Computation of the series files on a Ray cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import ray

from shelfcast.features.definitions import FeatureSet
from shelfcast.features.training_data import (
    SERIES_FILES,
    Inputs,
    series_path,
    series_rows,
    with_structural,
    write_series,
)

#: Number of series-weeks a task: starting a worker takes about as long as computing this many.
CELLS_PER_TASK = 250_000


def start_series(inputs: Inputs, directory: Path, features: FeatureSet) -> Iterator[Path]:
    """Starts the computation of all series files; yields each path when its file is written."""
    wanted = -(-inputs.grid.sales.size // CELLS_PER_TASK)
    tasks = max(1, min(wanted, SERIES_FILES, int(ray.cluster_resources()["CPU"])))
    # All series share the filters of the departments, so no part of them can compute them.
    shared = ray.put(with_structural(inputs, features))
    write = ray.remote(num_returns="streaming")(_write_files)
    parts = [range(first, SERIES_FILES, tasks) for first in range(tasks)]
    return _paths([(write.remote(shared, part, directory, features), len(part)) for part in parts])


def _paths(started: list[tuple[Iterator[ray.ObjectRef], int]]) -> Iterator[Path]:
    for paths, count in started:
        for path in islice(paths, count):
            yield ray.get(path)
    for paths, _ in started:
        # Wait for the tasks to end: otherwise Ray starts more processes for the next ones.
        deque(paths, maxlen=0)


def _write_files(inputs: Inputs, numbers: range, directory: Path, features: FeatureSet) -> Iterator[Path]:
    for number in numbers:
        write_series(directory, number, series_rows(inputs, number, features))
        yield series_path(directory, number)
