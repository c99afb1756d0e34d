"""Widens the intervals so that they hold what they promise on weeks that were not trained on."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from shelfcast.models.network import COVERAGES, MEDIAN, Network
from shelfcast.train.batch import chunks, read_batch
from shelfcast.train.data import Shard
from shelfcast.train.processes import Processes

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
def calibrate(model: Network, shard: Shard, processes: Processes) -> None:
    """Sets the model's widening for each number of weeks ahead, from the validation samples of all processes.

    Horizons with few samples get the factor of all samples together.
    """
    model.eval()
    model.widening.fill_(1.0)
    parts = [np.empty((0, 1 + len(COVERAGES)))]
    for samples in chunks(shard.validation):
        batch = read_batch(shard.table, samples, processes.device)
        quantiles = model(*batch.inputs).double()
        median = quantiles[:, MEDIAN]
        distance = (batch.actual - median).abs()
        above = batch.actual > median
        scores = [
            distance
            / torch.where(above, quantiles[:, MEDIAN + step] - median, median - quantiles[:, MEDIAN - step])
            for step in range(1, len(COVERAGES) + 1)
        ]
        parts.append(np.stack([samples.horizons, *(score.cpu().numpy() for score in scores)], axis=1))
    horizons, *by_coverage = np.concatenate(processes.gather(np.concatenate(parts))).T
    for place, (coverage, scores) in enumerate(zip(COVERAGES, by_coverage, strict=True)):
        together = conformal_factor(scores, coverage)
        for horizon in range(1, len(model.widening) + 1):
            own = scores[horizons == horizon]
            enough = len(own) >= FEWEST_SCORES
            model.widening[horizon - 1, place] = conformal_factor(own, coverage) if enough else together
