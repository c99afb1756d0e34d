"""What is set after the training, from weeks that were not trained on: shares of forecasts, and intervals."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shelfcast.models.global_model import GlobalModel
from shelfcast.models.network import (
    COVERAGES,
    MEDIAN,
    SIZE_GROUPS,
    Network,
    Prepared,
)
from shelfcast.train.batch import BatchReader, chunks
from shelfcast.train.data import Shard
from shelfcast.train.processes import Processes

#: That the validation weeks choose among, of last year's sales and of whatever else is beside the mixes.
_SEASONAL_SHARES = np.arange(7) / 10
_OTHER_SHARES = np.arange(11) / 10
#: Fewer scores than this are too few for a quantile of their own.
FEWEST_SCORES = 200


def conformal_factor(scores: NDArray[np.float64], coverage: float) -> float:
    """Returns the score that a new one stays below with probability ``coverage`` or slightly more.

    Split conformal prediction: the ceil(c (n + 1))-th smallest of n scores. Source: Romano, Patterson and
    Candes, "Conformalized Quantile Regression", NeurIPS 2019; here a factor, so that no quantiles can cross.

    Args:
        scores: Distance of the actual sales from the median over that of the quantile on its side [n], n > 0.
        coverage: Of the interval, 0 to 1.
    """
    rank = min(math.ceil(coverage * (len(scores) + 1)), len(scores))
    return float(np.partition(scores, rank - 1)[rank - 1])


@torch.no_grad()
def choose_shares(model: Network, shard: Shard, processes: Processes) -> None:
    """Sets the model's ``shares``, if it has any: the usual ones and what validates best, halved.

    Few weeks of validation say little of the weeks after them, so they decide in part only.
    """
    if not isinstance(model, GlobalModel):
        return
    model.eval()
    candidates = _share_candidates(len(model.shares)).to(processes.device)
    errors = torch.zeros(len(candidates), dtype=torch.float64)
    reader = BatchReader(shard.table, processes.device)
    for samples in chunks(shard.validation):
        batch = reader.read(samples)
        missed = (candidates @ model.forecasts(*batch.inputs) - batch.actual).abs()
        errors += (missed * batch.weight).double().sum(dim=1).cpu()
    best = candidates[int(processes.total(errors.numpy()).argmin())]
    model.shares.copy_((best + torch.tensor(model.usual_shares, device=best.device)) / 2)


def _share_candidates(parts: int) -> Tensor:
    """Returns shares of all parts, the first of which has what the others leave [C, P]."""
    others = [_SEASONAL_SHARES, *[_OTHER_SHARES] * (parts - 2)]
    grid = np.stack([values.ravel() for values in np.meshgrid(*others, indexing="ij")], axis=1)
    rest = 1 - grid.sum(axis=1, keepdims=True)
    # Rounding leaves a rest of nothing a little below 0.
    return torch.from_numpy(np.hstack([rest, grid])[rest[:, 0] > -1e-9]).float()


@torch.no_grad()
def calibrate(model: Network, shard: Shard, processes: Processes) -> None:
    """Sets the model's widening from the validation samples of all processes.

    Each number of weeks ahead and each group of sizes has a factor of its own; one with few samples has that
    of its group, or of all samples together.
    """
    model.eval()
    model.widening.fill_(1.0)
    reader = BatchReader(shard.table, processes.device)
    _part_sizes(model, shard, reader, processes)
    parts = [np.empty((0, 2 + len(COVERAGES)))]
    for samples in chunks(shard.validation):
        batch = reader.read(samples)
        quantiles = model(*batch.inputs).double()
        median = quantiles[:, MEDIAN]
        distance = (batch.actual - median).abs()
        above = batch.actual > median
        scores = [
            distance
            / torch.where(above, quantiles[:, MEDIAN + step] - median, median - quantiles[:, MEDIAN - step])
            for step in range(1, len(COVERAGES) + 1)
        ]
        columns = [model.size_group(batch.inputs[0], batch.inputs[3]), *scores]
        parts.append(np.stack([samples.horizons, *(column.cpu().numpy() for column in columns)], axis=1))
    horizons, groups, *by_coverage = np.concatenate(processes.gather(np.concatenate(parts))).T
    for place, (coverage, found) in enumerate(zip(COVERAGES, by_coverage, strict=True)):
        together = conformal_factor(found, coverage)
        for group in range(SIZE_GROUPS):
            of_group = groups == group
            usual = _factor(found[of_group], coverage, together)
            for horizon in range(1, len(model.widening) + 1):
                own = found[of_group & (horizons == horizon)]
                model.widening[horizon - 1, group, place] = _factor(own, coverage, usual)


def _factor(scores: NDArray[np.float64], coverage: float, otherwise: float) -> float:
    return conformal_factor(scores, coverage) if len(scores) >= FEWEST_SCORES else otherwise


def _part_sizes(model: Network, shard: Shard, reader: BatchReader, processes: Processes) -> None:
    """Sets the edges of the groups of sizes, so that each holds as many validation samples."""
    levels = [np.empty(0)]
    for samples in chunks(shard.validation):
        features, _, _, horizon = reader.read(samples).inputs
        prepared: Prepared = model.members[0].prepare(features, horizon)
        levels.append(prepared.level.cpu().double().numpy())
    every = np.concatenate(processes.gather(np.concatenate(levels)))
    edges = np.quantile(every, np.arange(1, SIZE_GROUPS) / SIZE_GROUPS)
    model.size_edges_usd.copy_(torch.from_numpy(edges))
