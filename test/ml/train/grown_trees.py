"""A model whose trees are fitted and whose networks are not trained, as the job makes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import torch

from shelfcast.models.ensemble import Ensemble
from shelfcast.models.trees import Attributes
from shelfcast.train import growing
from shelfcast.train.__main__ import _training_counts
from shelfcast.train.data import EpochSampler, Shard, read_shard
from shelfcast.train.fitting import fit_constants, known_ids
from shelfcast.train.processes import Processes

ROUNDS = 40


@dataclass(frozen=True)
class Grown:
    """The model and what its process read."""

    model: Ensemble
    shard: Shard
    told: list[str]

    @property
    def attributes(self) -> Attributes:
        """Of the trees."""
        assert self.model.trees._fitted is not None
        return dict(self.model.trees._fitted.attributes)

    def bits(self) -> bytes:
        """Returns all that the trees are."""
        return json.dumps(self.attributes).encode()


def grown(spec: dict[str, Any], processes: Processes) -> Grown:
    """Reads this process's part and fits the trees."""
    growing.ROUNDS = ROUNDS
    told: list[str] = []
    shard = read_shard(spec, processes.rank, processes.world_size)
    counts = _training_counts(shard, processes)
    sampler = EpochSampler(counts, spec["batchSize"], spec["seed"])
    torch.manual_seed(spec["seed"])
    model = Ensemble(shard.table.features, *known_ids(shard, processes), spec["horizonWeeks"])
    fit_constants(model, shard, sampler, processes)
    growing.grow_trees(model, shard, counts, spec["seed"], processes, told.append)
    return Grown(model, shard, told)
