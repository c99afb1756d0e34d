"""Widens the 80 % interval so that it holds what it promises on weeks that were not trained on."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from shelfcast.train.batch import chunks, read_batch
from shelfcast.train.data import Shard
from shelfcast.train.model import QUANTILES, GlobalModel
from shelfcast.train.processes import Processes

_COVERAGE = QUANTILES[-1] - QUANTILES[0]
#: Fewer scores than this are too few for a quantile of their own.
FEWEST_SCORES = 200


def conformal_factor(scores: NDArray[np.float64]) -> float:
    """Returns the score that a new one stays below with probability 0.8 or slightly more.

    Split conformal prediction: the ceil(0.8 (n + 1))-th smallest of n scores. Source: Romano, Patterson and
    Candes, "Conformalized Quantile Regression", NeurIPS 2019; here a factor, so that no quantiles can cross.

    Args:
        scores: Distance of the actual sales from the median over that of the quantile on its side [n], n > 0.
    """
    rank = min(math.ceil(_COVERAGE * (len(scores) + 1)), len(scores))
    return float(np.partition(scores, rank - 1)[rank - 1])


@torch.no_grad()
def calibrate(model: GlobalModel, shard: Shard, processes: Processes) -> None:
    """Sets the model's widening for each number of weeks ahead, from the validation samples of all processes.

    Horizons with few samples get the factor of all samples together.
    """
    parts = [np.empty((0, 2))]
    for samples in chunks(shard.validation):
        batch = read_batch(shard.table, samples, processes.device)
        low, median, high = model(*batch.inputs).double().unbind(dim=1)
        above = batch.actual > median
        score = (batch.actual - median).abs() / torch.where(above, high - median, median - low)
        parts.append(np.stack([samples.horizons, score.cpu().numpy()], axis=1))
    horizons, scores = np.concatenate(processes.gather(np.concatenate(parts))).T
    together = conformal_factor(scores)
    for horizon in range(1, len(model.widening) + 1):
        own = scores[horizons == horizon]
        model.widening[horizon - 1] = conformal_factor(own) if len(own) >= FEWEST_SCORES else together
