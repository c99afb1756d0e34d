"""What a process reads, and which samples make the batch of a step.

A sample is a row of the training data (a series and an origin week) and a number of weeks ahead. It belongs
to the training, the validation or the test by its TARGET week alone. The batch of a step takes from each file
its share, so it holds the same samples with any number of processes, though each reads its own files only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from shelfcast.features.samples import Integers, OriginTable, read_origin_table, series_files
from shelfcast.job import UserError, path_of

#: A pass over all samples of many series would show nearly the same weeks again and again.
EPOCH_SAMPLES = 65_536

_WEEK = np.timedelta64(7, "D")


@dataclass(frozen=True)
class Weeks:
    """Target weeks, first and last included.

    Attributes:
        training: All known weeks before the validation.
        validation: For early stopping and calibration.
    """

    training: tuple[np.datetime64, np.datetime64]
    validation: tuple[np.datetime64, np.datetime64]


def split_weeks(first_week: str, last_week: str, validation_weeks: int, test_weeks: int) -> Weeks:
    """Splits weeks: the newest are the test's, those before the validation's, all earlier the training's.

    Raises:
        UserError: Nothing is left for training.
    """
    first, last = np.datetime64(first_week), np.datetime64(last_week)
    validation_last = last - test_weeks * _WEEK
    training_last = validation_last - validation_weeks * _WEEK
    # The first week can only be an origin.
    if training_last <= first:
        raise UserError(
            "InvalidInput",
            f"the snapshot's weeks {first_week} to {last_week} are too few for testWeeks {test_weeks} and "
            f"validationWeeks {validation_weeks}: none is left for training; lower them or load more weeks",
        )
    return Weeks((first, training_last), (training_last + _WEEK, validation_last))


@dataclass(frozen=True)
class Samples:
    """N samples of one table.

    Attributes:
        rows: Row in the table [N].
        horizons: Weeks ahead [N].
    """

    rows: Integers
    horizons: Integers

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Integers | slice) -> Samples:
        """Returns some of the samples."""
        return Samples(self.rows[index], self.horizons[index])


@dataclass(frozen=True)
class Shard:
    """What one process reads.

    Attributes:
        table: All rows of the process's files.
        files: Place of each of these files among all.
        training: Training samples of each of these files.
        validation: Validation samples of all these files.
    """

    table: OriginTable
    files: list[int]
    training: list[Samples]
    validation: Samples


def read_shard(spec: Mapping[str, Any], rank: int, world_size: int) -> Shard:
    """Reads every ``world_size``-th file of the training data, beginning with number ``rank``.

    Args:
        spec: The TrainSpec.
        rank: This process's.
        world_size: Number of processes.

    Raises:
        UserError: More processes than files, too few weeks, or training data that are not the spec's.
    """
    snapshot, folder = spec["snapshot"], path_of(spec["trainingDataUri"])
    weeks = split_weeks(
        snapshot["firstWeek"], snapshot["lastWeek"], spec["validationWeeks"], spec["testWeeks"]
    )
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


def _check_description(folder: Path, spec: Mapping[str, Any]) -> None:
    description = json.loads((folder / "features.json").read_text(encoding="utf-8"))
    for name in ("featureSetVersion", "horizonWeeks"):
        if description[name] != spec[name]:
            raise UserError(
                "InvalidInput",
                f"the training data in {folder} have {name} {description[name]}, the training wants "
                f"{spec[name]}; compute the features again",
            )


class EpochSampler:
    """Decides the samples of each step, from seed, epoch and step alone: a number of epochs is its state."""

    def __init__(
        self, file_sizes: Sequence[int], batch_size: int, seed: int, epoch_samples: int | None = None
    ) -> None:
        """Plans epochs.

        Args:
            file_sizes: Training samples in each of all files.
            batch_size: Samples of a step, all processes together; shares of files are rounded.
            seed: Of the shuffling.
            epoch_samples: Of an epoch, about, evenly of all files; ``EPOCH_SAMPLES`` if not given.
        """
        self._sizes = file_sizes
        self._seed = seed
        share = min(1.0, (epoch_samples or EPOCH_SAMPLES) / sum(file_sizes))
        self._quotas = [math.ceil(size * share) for size in file_sizes]
        self.steps = math.ceil(sum(self._quotas) / batch_size)

    def positions(self, epoch: int, file: int) -> list[Integers]:
        """Returns for each step of an epoch the samples to take from a file; none comes twice."""
        generator = np.random.default_rng([self._seed, epoch, file])
        order = generator.permutation(self._sizes[file])[: self._quotas[file]]
        bounds = np.arange(1, self.steps) * len(order) // self.steps
        return np.split(order, bounds)

    def batches(self, shard: Shard, epoch: int) -> list[Samples]:
        """Returns a process's part of each step's batch; it may be empty."""
        parts = [
            [samples.take(positions) for positions in self.positions(epoch, file)]
            for file, samples in zip(shard.files, shard.training, strict=True)
        ]
        return [
            Samples(np.concatenate([p.rows for p in step]), np.concatenate([p.horizons for p in step]))
            for step in zip(*parts, strict=True)
        ]
