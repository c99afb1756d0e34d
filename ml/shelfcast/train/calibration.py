"""Post-training fitting on the validation weeks: conformal intervals."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from shelfcast.models.network import (
    CALIBRATION_BINS,
    COVERAGES,
    MEDIAN,
    ModelInputs,
    Network,
)
from shelfcast.train.data import Shard
from shelfcast.train.distributed import Processes
from shelfcast.train.minibatch import BatchReader, chunks

#: Minimum number of scores for a separate scale.
MIN_SCORES = 200


def conformal_scale(scores: NDArray[np.float64], coverage: float) -> float:
    """Returns the scale that gives an interval at least the nominal coverage on a new sample.

    Split conformal prediction: the ceil(c (n + 1))-th smallest of n scores. Source: Romano, Patterson and
    Candes, "Conformalized Quantile Regression", NeurIPS 2019. Unlike theirs, the correction is a factor, so
    quantiles cannot cross.

    Args:
        scores: Distance of actual sales from the median, divided by the distance of the quantile on the same
            side [n], n > 0.
        coverage: Nominal coverage of the interval, 0 to 1.
    """
    rank = min(math.ceil(coverage * (len(scores) + 1)), len(scores))
    return float(np.partition(scores, rank - 1)[rank - 1])


@torch.no_grad()
def calibrate(model: Network, shard: Shard, processes: Processes) -> None:
    """Sets the model's conformal scales from the validation samples of all processes.

    Each horizon and calibration bin has its own scale. With fewer than ``MIN_SCORES`` samples it falls back
    to the scale of the bin, then to the scale of all samples.
    """
    model.eval()
    model.widening.fill_(1.0)
    reader = BatchReader(shard.table, processes.device)
    _set_size_edges(model, shard, reader, processes)
    horizons, bins, _, *by_coverage = _validation_scores(model, shard, reader, processes)
    for column, (coverage, scores) in enumerate(zip(COVERAGES, by_coverage, strict=True)):
        overall_scale = conformal_scale(scores, coverage)
        for bin_ in range(CALIBRATION_BINS):
            in_bin = bins == bin_
            bin_scale = _scale(scores[in_bin], coverage, overall_scale)
            for horizon in range(1, len(model.widening) + 1):
                cell = scores[in_bin & (horizons == horizon)]
                model.widening[horizon - 1, bin_, column] = _scale(cell, coverage, bin_scale)


@torch.no_grad()
def widest_week(model: Network, shard: Shard, processes: Processes) -> float:
    """Returns how many times as wide the intervals must be to hold 80 % of each single validation week.

    The conformal scales hold their share of all validation weeks together, which is too little for weeks
    unlike the others. It follows ``calibrate`` and precedes ``bound_at_zero``.

    Returns:
        The factor, 1 at least.
    """
    reader = BatchReader(shard.table, processes.device)
    _, _, weeks, scores, _ = _validation_scores(model, shard, reader, processes)
    coverage = COVERAGES[0]
    factors = [conformal_scale(scores[weeks == week], coverage) for week in np.unique(weeks)]
    # An interval without a width, of sales that never vary, cannot be widened.
    return max([1.0, *(factor for factor in factors if np.isfinite(factor))])


def _validation_scores(
    model: Network, shard: Shard, reader: BatchReader, processes: Processes
) -> list[NDArray[np.float64]]:
    """Returns horizon, calibration bin, target week and the score of each coverage, each [N].

    A score is the distance of the sales from the median, divided by that of the quantile on the same side; N
    are the validation samples of all processes.
    """
    parts = [np.empty((0, 3 + len(COVERAGES)))]
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
        weeks = shard.table.target_week(samples.rows, samples.horizons).astype(np.int64)
        columns = [model.calibration_bin(batch.inputs[0], batch.inputs[3]), *scores]
        arrays = [samples.horizons, columns[0].cpu().numpy(), weeks, *(c.cpu().numpy() for c in columns[1:])]
        parts.append(np.stack(arrays, axis=1))
    return list(np.concatenate(processes.gather(np.concatenate(parts))).T)


def bound_at_zero(model: Network, shard: Shard, processes: Processes) -> None:
    """Bounds the model's quantiles at 0 if no sales of the training and validation weeks are below 0.

    It follows the calibration: sales that are never below 0 are as often inside an interval that ends at 0.
    """
    samples = [*shard.training, shard.validation]
    local = any(bool((shard.table.targets[part.rows, part.horizons - 1] < 0).any()) for part in samples)
    model.non_negative = not any(processes.gather(local))


def _scale(scores: NDArray[np.float64], coverage: float, fallback: float) -> float:
    return conformal_scale(scores, coverage) if len(scores) >= MIN_SCORES else fallback


def _set_size_edges(model: Network, shard: Shard, reader: BatchReader, processes: Processes) -> None:
    """Sets the edges of the calibration bins; each bin gets the same number of validation samples."""
    levels = [np.empty(0)]
    for samples in chunks(shard.validation):
        features, _, _, horizon = reader.read(samples).inputs
        prepared: ModelInputs = model.members[0].prepare(features, horizon)
        levels.append(prepared.level.cpu().double().numpy())
    all_levels = np.concatenate(processes.gather(np.concatenate(levels)))
    edges = np.quantile(all_levels, np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS)
    model.size_edges_usd.copy_(torch.from_numpy(edges))
