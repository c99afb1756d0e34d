"""Normalization constants of the graph, fitted on training samples only."""

from __future__ import annotations

import numpy as np
import torch

from shelfcast.features.samples import Integers
from shelfcast.models.network import Member, ModelInputs, Network
from shelfcast.train.data import EpochSampler, Samples, Shard
from shelfcast.train.distributed import Processes
from shelfcast.train.minibatch import BatchReader, chunks

#: Floor of levels, as a share of the mean level.
_FLOOR_SHARE = 0.002
#: Minimum mean level, for data without any sales.
_SMALLEST_LEVEL_USD = 1.0


def known_ids(shard: Shard, processes: Processes) -> tuple[list[int], list[int]]:
    """Returns the stores and departments with training samples in any process, ascending."""
    rows = np.concatenate([samples.rows for samples in shard.training])

    def union(ids: Integers) -> list[int]:
        parts = processes.gather(np.unique(ids[rows]).tolist())
        return sorted({id_ for part in parts for id_ in part})

    return union(shard.table.store), union(shard.table.dept)


def fit_normalization(model: Network, shard: Shard, sampler: EpochSampler, processes: Processes) -> None:
    """Sets the mean level, the floor of levels and the standardization, from the samples of the first epoch.

    Args:
        model: Model with the shard's features, on the CPU.
        shard: Training data of this process.
        sampler: Sampler of the training.
        processes: Process group.
    """
    batches = sampler.batches(shard, 0)
    samples = Samples(
        np.concatenate([b.rows for b in batches]), np.concatenate([b.horizons for b in batches])
    )
    for member in model.members:
        member.prepare.floor_usd.zero_()
    reader = BatchReader(shard.table, torch.device("cpu"))
    levels = [_prepared(model.members[0], reader, part).level for part in chunks(samples)]
    level_sum = sum(float(level.double().sum()) for level in levels)
    count, total_level = processes.all_reduce_sum(np.array([len(samples), level_sum]))
    model.mean_level_usd.fill_(max(total_level / count, _SMALLEST_LEVEL_USD))
    for member in model.members:
        member.prepare.floor_usd.copy_(_FLOOR_SHARE * model.mean_level_usd)
        sums = np.zeros((2, len(member.standardize.mean)))
        for part in chunks(samples):
            inputs = _prepared(member, reader, part).inputs.double()
            sums += np.stack([inputs.sum(dim=0).numpy(), inputs.square().sum(dim=0).numpy()])
        mean, squares = torch.from_numpy(processes.all_reduce_sum(sums))
        member.standardize.fit(float(count), mean, squares)


def _prepared(member: Member, reader: BatchReader, samples: Samples) -> ModelInputs:
    features, _, _, horizon = reader.read(samples).inputs
    prepared: ModelInputs = member.prepare(features, horizon)
    return prepared
