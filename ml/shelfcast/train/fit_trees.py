"""Fitting of a model's trees, after its networks are trained.

Networks and trees are independent. So checkpoints hold no trees, trials of a search fit none, and a resumed
training fits the same trees again.
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
from shelfcast.train.data import EpochSampler, Samples, Shard
from shelfcast.train.distributed import Processes
from shelfcast.train.minibatch import BatchReader, chunks

#: Number of training samples to fit, drawn evenly; more take minutes and change little.
SAMPLES = 200_000
ROUNDS = 400
_ROUNDS_BETWEEN = 20


@dataclass(frozen=True)
class _Rows:
    """Training rows of the trees, one a sample.

    Attributes:
        inputs: Inputs [N, I].
        target_usd: Sales in the target weeks, US dollars [N].
        level_usd: Levels of the series, US dollars [N].
        weight: Weight of each sample in WMAE [N].
    """

    inputs: NDArray[np.float32]
    target_usd: Floats
    level_usd: Floats
    weight: NDArray[np.float32]


def fit_trees(
    model: Network,
    shard: Shard,
    file_sizes: Sequence[int],
    seed: int,
    processes: Processes,
    report: Callable[[str], None],
) -> None:
    """Fits the model's trees, if it has any, to training samples; each process must call it.

    Rank 0 fits them to the same samples in the same order, whatever the number of processes.

    Args:
        model: Model with fitted normalization.
        shard: Training data of this process.
        file_sizes: Number of training samples in each file.
        seed: Seed of the sampling.
        processes: Process group.
        report: Callback of rank 0 with a progress message.
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
            report(f"tree {number} of {ROUNDS}")
            # Keeps the waiting ranks from timing out.
            processes.gather(None)

    attributes = None
    if processes.is_rank_0:
        attributes = _fit([by_file[file] for file in sorted(by_file)], seed, after_round)
    # The other ranks take part in the collectives of `after_round` until rank 0 sends the trees.
    while (fitted := processes.gather(attributes)[0]) is None:
        pass
    model.trees.set_trees(fitted)


@torch.no_grad()
def _read(model: Ensemble, reader: BatchReader, samples: Samples) -> _Rows:
    parts = []
    # A file without training samples still yields one empty part, which has the columns.
    for chunk in list(chunks(samples)) or [samples]:
        batch = reader.read(chunk)
        level = model.members[0].prepare(batch.inputs[0], batch.inputs[3]).level
        columns = model.trees.inputs(batch.inputs, level), batch.actual, level, batch.weight
        parts.append([column.cpu().numpy() for column in columns])
    inputs, target, level, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Rows(inputs, target.astype(np.float64), level.astype(np.float64), weight)


def _fit(files: Sequence[_Rows], seed: int, after_round: Callable[[int], None]) -> Attributes:
    # The import takes a second; only this preset needs it.
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
