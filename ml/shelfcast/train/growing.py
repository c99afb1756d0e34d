"""Fits the trees of a model, once its networks are trained.

Networks and trees do not learn from each other. So no checkpoint needs to hold trees, no trial of a search
fits any, and a training that was cut off fits the same ones again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shelfcast.features.samples import Floats
from shelfcast.models.ensemble import Ensemble
from shelfcast.models.network import Network
from shelfcast.models.trees import Attributes, attributes_of
from shelfcast.train.batch import BatchReader, chunks
from shelfcast.train.data import EpochSampler, Samples, Shard
from shelfcast.train.processes import Processes

#: Drawn evenly from all training samples; more take minutes and change little.
SAMPLES = 200_000
ROUNDS = 400
_ROUNDS_BETWEEN = 20


@dataclass(frozen=True)
class _Rows:
    """What the trees learn from: N samples.

    Attributes:
        inputs: [N, I].
        target_usd: [N].
        level_usd: [N].
        weight: Of a sample in WMAE [N].
    """

    inputs: NDArray[np.float32]
    target_usd: Floats
    level_usd: Floats
    weight: NDArray[np.float32]


def grow_trees(
    model: Network,
    shard: Shard,
    file_sizes: Sequence[int],
    seed: int,
    processes: Processes,
    tell: Callable[[str], None],
) -> None:
    """Fits the model's trees, if it has any, to training samples; each process must call it.

    The first process fits them to the same samples in the same order with any number of processes.

    Args:
        model: Its constants are set.
        shard: What this process reads.
        file_sizes: Training samples in each of all files.
        seed: Of the samples drawn.
        processes: All of them.
        tell: Is called in the first process with how far it is.
    """
    if not isinstance(model, Ensemble):
        return
    sampler = EpochSampler(file_sizes, sum(file_sizes), seed, SAMPLES)
    reader = BatchReader(shard.table, processes.device)
    drawn = {
        file: _read(model, reader, samples.take(sampler.positions(0, file)[0]))
        for file, samples in zip(shard.files, shard.training, strict=True)
    }
    by_file = {file: rows for part in processes.gather(drawn) for file, rows in part.items()}

    def after_round(number: int) -> None:
        if number % _ROUNDS_BETWEEN == 0:
            tell(f"tree {number} of {ROUNDS}")
            # All meet: who waited for the last round in silence would take the first process for dead.
            processes.gather(None)

    fitted = None
    if processes.first:
        fitted = _fit([by_file[file] for file in sorted(by_file)], seed, after_round)
    while (found := processes.gather(fitted)[0]) is None:
        pass
    model.trees.grow(found)


@torch.no_grad()
def _read(model: Ensemble, reader: BatchReader, samples: Samples) -> _Rows:
    parts = []
    # A file without training samples has a part too: it has the columns.
    for some in list(chunks(samples)) or [samples]:
        batch = reader.read(some)
        level = model.members[0].prepare(batch.inputs[0], batch.inputs[3]).level
        columns = model.trees.inputs(batch.inputs, level), batch.actual, level, batch.weight
        parts.append([column.cpu().numpy() for column in columns])
    inputs, target, level, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Rows(inputs, target.astype(np.float64), level.astype(np.float64), weight)


def _fit(files: Sequence[_Rows], seed: int, after_round: Callable[[int], None]) -> Attributes:
    # Takes a second, which no other preset pays.
    from shelfcast.models.boosting import boost

    booster = boost(
        np.concatenate([rows.inputs for rows in files]),
        np.concatenate([rows.target_usd for rows in files]),
        np.concatenate([rows.level_usd for rows in files]),
        np.concatenate([rows.weight for rows in files]),
        ROUNDS,
        seed,
        after_round,
    )
    return attributes_of(booster)
