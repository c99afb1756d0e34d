"""Scales of the totals' intervals at each level, fitted on the validation weeks.

The errors of a level's totals are those of single series summed over the same target week and weeks ahead, so
they keep the dependence between series: a warm week moves all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from shelfcast.contracts.model import LevelScales
from shelfcast.features.samples import Floats, Integers
from shelfcast.level_sums import totals
from shelfcast.levels import Groups, LevelOf
from shelfcast.models.network import COVERAGES, MEDIAN, QUANTILES, Network
from shelfcast.train.calibration import MIN_SCORES
from shelfcast.train.data import Shard
from shelfcast.train.distributed import Processes
from shelfcast.train.minibatch import BatchReader, chunks

_ACTUAL = "actual"
#: Decimals of a scale: more depend on the order of sums, which the number of processes changes.
_DECIMALS = 4

#: Sums by store or by department: number, target week, weeks ahead, and the values by name, each [G].
_Sums = tuple[Integers, Integers, Integers, dict[str, Floats]]


@torch.no_grad()
def calibrate_levels(model: Network, shard: Shard, processes: Processes) -> None:
    """Sets the model's ``level_scales`` from the validation samples of all processes.

    Each level and number of weeks ahead has its own scale; with fewer than ``MIN_SCORES`` totals it is that
    of the level. It follows the calibration of single series, whose intervals it scales.
    """
    model.eval()
    levels, ids = shard.table.levels, shard.table.ids
    sums = _sums(model, shard, processes)
    model.level_scales = {}
    for name in levels.names:
        numbers, weeks, horizons, values = sums[levels.key_of(name)]
        summed = totals(levels.groups(name, numbers, ids), weeks, horizons, values)
        if len(summed.rows) == 0:
            continue
        by_coverage = [
            _scales(_scores(summed.values, step), summed.week, summed.horizon, coverage, len(model.widening))
            for step, coverage in enumerate(COVERAGES, 1)
        ]
        model.level_scales[name] = LevelScales(coverage80=by_coverage[0], coverage95=by_coverage[1])


def level_scale(scores: Floats, weeks: Integers, coverage: float) -> float:
    """Returns the scale that gives an interval about the nominal coverage in a new week.

    It is split conformal prediction, as for single series, with n independent totals in place of all: totals
    of one week share its errors, so n lies between the number of weeks and that of totals.

    Args:
        scores: Distance of actual sales from the median, divided by the summed distances of the quantile on
            the same side, [G], G > 0.
        weeks: Target week of each total, [G].
        coverage: Nominal coverage of the interval, 0 to 1.
    """
    ordered = np.sort(scores)
    inside = scores <= ordered[math.ceil(coverage * len(scores)) - 1]
    share = coverage * (1 + 1 / independent_totals(inside, weeks))
    scale = float(ordered[min(math.ceil(share * len(scores)), len(scores)) - 1])
    if np.isfinite(scale):
        return scale
    # An interval without a width, of sales that never vary, cannot be widened.
    return float(max(scores[np.isfinite(scores)], default=1.0))


def independent_totals(inside: NDArray[np.bool_], weeks: Integers) -> float:
    """Returns the number of independent totals whose share inside would vary as much as that of the weeks.

    Source: the design effect of Kish, "Survey Sampling" (1965).

    Args:
        inside: Whether each total is inside its interval, [G].
        weeks: Target week of each total, [G].
    """
    _, index, counts = np.unique(weeks, return_inverse=True, return_counts=True)
    share, of_weeks = inside.mean(), np.bincount(index, inside) / counts
    variance = np.var(of_weeks, ddof=1) if len(counts) > 1 else np.inf
    if variance == 0:
        return float(len(inside))
    return float(np.clip(len(counts) * share * (1 - share) / variance, len(counts), len(inside)))


def _scales(
    scores: Floats, weeks: Integers, horizons: Integers, coverage: float, horizon_weeks: int
) -> list[float]:
    of_level = level_scale(scores, weeks, coverage)
    scales = []
    for horizon in range(1, horizon_weeks + 1):
        ahead = horizons == horizon
        enough = ahead.sum() >= MIN_SCORES
        scale = level_scale(scores[ahead], weeks[ahead], coverage) if enough else of_level
        scales.append(round(scale, _DECIMALS))
    return scales


def _scores(values: dict[str, Floats], step: int) -> Floats:
    median, low, high = (values[_name(MEDIAN + offset)] for offset in (0, -step, step))
    distance = np.abs(values[_ACTUAL] - median)
    width = np.where(values[_ACTUAL] > median, high - median, median - low)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distance == 0, 0.0, distance / width)


def _name(column: int) -> str:
    return f"q{QUANTILES[column]}"


def _sums(model: Network, shard: Shard, processes: Processes) -> dict[LevelOf, _Sums]:
    """Returns sales and quantiles summed by store and by department, which decide every level's members."""
    parts: dict[LevelOf, list[_Sums]] = {"store": [], "dept": []}
    reader = BatchReader(shard.table, processes.device)
    for samples in chunks(shard.validation):
        batch = reader.read(samples)
        quantiles = model(*batch.inputs).double().cpu().numpy()
        values = {_name(column): quantiles[:, column] for column in range(len(QUANTILES))}
        values[_ACTUAL] = batch.actual.double().cpu().numpy()
        weeks = shard.table.target_week(samples.rows, samples.horizons).astype(np.int64)
        keys: dict[LevelOf, Integers] = {"store": shard.table.store, "dept": shard.table.dept}
        for of, numbers in keys.items():
            parts[of].append(_sum_by(numbers[samples.rows], weeks, samples.horizons, values))
    return {of: _together(part for ps in processes.gather(parts[of]) for part in ps) for of in parts}


def _together(parts: Iterator[_Sums]) -> _Sums:
    numbers, weeks, horizons, values = zip(*parts, strict=True)
    summed = {name: np.concatenate([part[name] for part in values]) for name in values[0]}
    return _sum_by(np.concatenate(numbers), np.concatenate(weeks), np.concatenate(horizons), summed)


def _sum_by(numbers: Integers, weeks: Integers, horizons: Integers, values: dict[str, Floats]) -> _Sums:
    known, index = np.unique(numbers, return_inverse=True)
    summed = totals(Groups(index, []), weeks, horizons, values)
    return known[summed.group], summed.week, summed.horizon, summed.values
