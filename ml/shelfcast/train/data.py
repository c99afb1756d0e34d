"""Training data of one process, and the samples of each step.

A sample is a row of the training data (a series and an origin week) and a number of weeks ahead. Its TARGET
week alone decides whether it belongs to training, validation or test. The minibatch of a step takes a share
of each file, so it holds the same samples with any number of processes, although each reads only its own
files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from shelfcast.contracts.specs import TrainSpec
from shelfcast.features.samples import (
    NUMPY_WEEK,
    Integers,
    OriginTable,
    read_description,
    read_origin_table,
    series_files,
)
from shelfcast.job import UserError, path_of

#: Upper bound of samples in an epoch: more series repeat nearly the same weeks.
EPOCH_SAMPLES = 65_536


@dataclass(frozen=True)
class Weeks:
    """Target weeks as pairs of first and last week, both included.

    Attributes:
        training: All known weeks before the validation weeks.
        validation: Weeks for early stopping and calibration.
    """

    training: tuple[np.datetime64, np.datetime64]
    validation: tuple[np.datetime64, np.datetime64]


def split_weeks(first_week: date, last_week: date, validation_weeks: int, test_weeks: int) -> Weeks:
    """Splits the weeks in time: training, then validation, then test."""
    first, last = np.datetime64(first_week), np.datetime64(last_week)
    validation_last = last - test_weeks * NUMPY_WEEK
    training_last = validation_last - validation_weeks * NUMPY_WEEK
    # The first week can be an origin but never a target; ``features.enough_weeks`` refuses fewer weeks.
    assert training_last > first
    return Weeks((first, training_last), (training_last + NUMPY_WEEK, validation_last))


@dataclass(frozen=True)
class Samples:
    """N samples of one table.

    Attributes:
        rows: Row of each sample in the table [N].
        horizons: Weeks ahead [N].
    """

    rows: Integers
    horizons: Integers

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Integers | slice) -> Samples:
        """Returns a selection of the samples."""
        return Samples(self.rows[index], self.horizons[index])


@dataclass(frozen=True)
class Shard:
    """Training data of one process: every n-th file.

    Attributes:
        table: All rows of the process's files.
        files: Index of each of these files among all files.
        training: Training samples, by file.
        validation: Validation samples of all these files.
    """

    table: OriginTable
    files: list[int]
    training: list[Samples]
    validation: Samples


def read_shard(spec: TrainSpec, rank: int, world_size: int) -> Shard:
    """Reads every ``world_size``-th file of the training data, starting at file ``rank``.

    Args:
        spec: Spec of the training.
        rank: Rank of this process.
        world_size: Number of processes.

    Raises:
        UserError: There are more processes than files, too few weeks, or the training data do not match the
            spec.
    """
    snapshot, folder = spec.snapshot, path_of(spec.training_data_uri)
    weeks = split_weeks(snapshot.first_week, snapshot.last_week, spec.validation_weeks, spec.test_weeks)
    _check_description(folder, spec)
    paths = series_files(folder)
    if world_size > len(paths):
        raise UserError(
            "InvalidInput",
            f"processes is {world_size} but the training data has {len(paths)} files; "
            f"set processes to {len(paths)} at most",
        )
    files = list(range(rank, len(paths), world_size))
    table = read_origin_table(folder, [paths[file] for file in files])
    row_counts = [pq.read_metadata(paths[file]).num_rows for file in files]
    training = Samples(*table.samples(*weeks.training))
    ends = np.searchsorted(training.rows, np.cumsum(row_counts))
    starts = [0, *ends[:-1]]
    return Shard(
        table,
        files,
        [training.take(slice(start, end)) for start, end in zip(starts, ends, strict=True)],
        Samples(*table.samples(*weeks.validation)),
    )


def _check_description(folder: Path, spec: TrainSpec) -> None:
    description = read_description(folder)
    for name, found, wanted in (
        ("featureSetVersion", description.feature_set_version, spec.feature_set_version),
        ("horizonWeeks", description.horizon_weeks, spec.horizon_weeks),
    ):
        if found != wanted:
            raise UserError(
                "InvalidInput",
                f"the training data in {folder} have {name} {found}, the training wants {wanted}; compute "
                "the features again",
            )


class EpochSampler:
    """Chooses the samples of each step from seed, epoch and step alone, so its only state is the epoch."""

    def __init__(
        self, file_sizes: Sequence[int], batch_size: int, seed: int, epoch_samples: int | None = None
    ) -> None:
        """Computes the number of steps in an epoch and of samples from each file.

        Args:
            file_sizes: Training samples in each of all files.
            batch_size: Approximate number of samples in a step, over all processes; each file's share is
                rounded.
            seed: Seed of the shuffle.
            epoch_samples: Approximate number of samples in an epoch; ``EPOCH_SAMPLES`` by default.
        """
        self._sizes = file_sizes
        self._seed = seed
        share = min(1.0, (epoch_samples or EPOCH_SAMPLES) / sum(file_sizes))
        self._quotas = [math.ceil(size * share) for size in file_sizes]
        self.steps = math.ceil(sum(self._quotas) / batch_size)

    def positions(self, epoch: int, file: int) -> list[Integers]:
        """Returns the positions in a file of each step's samples, without replacement."""
        generator = np.random.default_rng([self._seed, epoch, file])
        order = generator.permutation(self._sizes[file])[: self._quotas[file]]
        bounds = np.arange(1, self.steps) * len(order) // self.steps
        return np.split(order, bounds)

    def batches(self, shard: Shard, epoch: int) -> list[Samples]:
        """Returns a process's part of each step's minibatch; it may be empty."""
        parts = [
            [samples.take(positions) for positions in self.positions(epoch, file)]
            for file, samples in zip(shard.files, shard.training, strict=True)
        ]
        return [
            Samples(np.concatenate([p.rows for p in step]), np.concatenate([p.horizons for p in step]))
            for step in zip(*parts, strict=True)
        ]
