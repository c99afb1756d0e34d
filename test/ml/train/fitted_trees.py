"""A model whose trees are fitted and whose networks are not trained, as the job makes it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch

from shelfcast.contracts.specs import TrainSpec
from shelfcast.models.ensemble import Ensemble
from shelfcast.models.trees import Attributes
from shelfcast.train import fit_trees
from shelfcast.train.__main__ import _training_counts
from shelfcast.train.data import EpochSampler, Shard, read_shard
from shelfcast.train.distributed import Processes
from shelfcast.train.normalization import fit_normalization, known_ids

ROUNDS = 40


@dataclass(frozen=True)
class FittedTrees:
    """The model and what its process read."""

    model: Ensemble
    shard: Shard
    told: list[str]

    @property
    def attributes(self) -> Attributes:
        """Attributes of the fitted trees."""
        assert self.model.trees._fitted is not None
        return dict(self.model.trees._fitted.attributes)

    def bits(self) -> bytes:
        """Returns all that the trees are."""
        return json.dumps(self.attributes).encode()


def fitted_trees(spec: TrainSpec, processes: Processes) -> FittedTrees:
    """Reads this process's part and fits the trees."""
    fit_trees.ROUNDS = ROUNDS
    told: list[str] = []
    shard = read_shard(spec, processes.rank, processes.world_size)
    counts = _training_counts(shard, processes)
    sampler = EpochSampler(counts, spec.batch_size, spec.seed)
    torch.manual_seed(spec.seed)
    model = Ensemble(shard.table.features, *known_ids(shard, processes), spec.horizon_weeks)
    fit_normalization(model, shard, sampler, processes)
    fit_trees.fit_trees(model, shard, counts, spec.seed, processes, told.append)
    return FittedTrees(model, shard, told)
