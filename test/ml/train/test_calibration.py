"""Calibration of the intervals and its conformal scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from train_example import Example

from shelfcast.models.global_model import GlobalModel
from shelfcast.models.network import (
    CALIBRATION_BINS,
    Member,
    MemberForecast,
    ModelInputs,
    Network,
    Preparation,
)
from shelfcast.models.windows import Windows
from shelfcast.train.calibration import (
    MIN_SCORES,
    _scale,
    calibrate,
    conformal_scale,
    widest_week,
)
from shelfcast.train.data import Shard, read_shard
from shelfcast.train.distributed import Processes
from shelfcast.train.minibatch import BatchReader


def test_the_scale_is_the_score_of_the_conformal_rank() -> None:
    # ceil(0.8 * (10 + 1)) = 9, one more than the plain quantile's ceil(0.8 * 10) = 8.
    assert conformal_scale(np.array([10.0, 9, 1, 8, 2, 7, 3, 6, 4, 5]), 0.8) == 9.0
    # The rank exceeds the number of scores, so the largest one counts.
    assert conformal_scale(np.array([2.0, 3.0]), 0.8) == 3.0


@pytest.mark.parametrize(("coverage", "rank"), [(0.8, 801), (0.95, 951)])
def test_the_scale_is_found_among_many_scores(coverage: float, rank: int) -> None:
    scores = np.random.default_rng(2).permutation(np.arange(1.0, 1_001.0))
    assert conformal_scale(scores, coverage) == rank


def test_too_few_scores_take_the_scale_of_more() -> None:
    assert _scale(np.ones(MIN_SCORES), 0.8, fallback=2.0) == 1.0
    assert _scale(np.ones(MIN_SCORES - 1), 0.8, fallback=2.0) == 2.0


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_the_scale_covers_the_nominal_share_of_new_scores(coverage: float) -> None:
    generator = np.random.default_rng(1)
    shares = []
    for _ in range(300):
        scores = generator.exponential(size=400)
        shares.append(np.mean(scores[200:] <= conformal_scale(scores[:200], coverage)))
    assert np.mean(shares) == pytest.approx(coverage, abs=0.01)


class SkewedNetwork(Network):
    """A network whose intervals reach 1 and 2 below the median of 0, and 10 and 20 above it."""

    class _Skewed(Member):
        def __init__(self, prepare: Preparation) -> None:
            super().__init__()
            self.prepare = prepare

        def forecast(self, prepared: ModelInputs, store: Tensor, dept: Tensor) -> MemberForecast:
            rows = len(store) + 0 * len(dept)
            distances = torch.tensor([1.0, 2.0, 10.0, 20.0]).expand(rows, 4)
            return MemberForecast(torch.zeros(rows), distances, torch.zeros_like(prepared.level))

    def __init__(self, shard: Shard) -> None:
        features = shard.table.features
        super().__init__(len(features), 4, [self._Skewed(Windows(features, 4))])


@pytest.mark.parametrize(("sales", "scales"), [(-3.0, (3.0, 1.5)), (30.0, (3.0, 1.5)), (0.0, (0.0, 0.0))])
def test_a_score_is_relative_to_the_quantile_on_the_side_of_the_sales(
    example: Example, alone: Processes, sales: float, scales: tuple[float, float]
) -> None:
    shard = read_shard(example.spec, 0, 1)
    shard = replace(shard, table=replace(shard.table, targets=np.full_like(shard.table.targets, sales)))
    model = SkewedNetwork(shard)
    calibrate(model, shard, alone)
    torch.testing.assert_close(model.widening, torch.tensor(scales).expand_as(model.widening))


def test_the_widest_week_needs_intervals_as_wide_as_its_own_sales(example: Example, alone: Processes) -> None:
    shard = read_shard(example.spec, 0, 1)
    weeks = shard.table.target_week(shard.validation.rows, shard.validation.horizons)
    targets = np.full_like(shard.table.targets, 30.0)
    model = SkewedNetwork(replace(shard, table=replace(shard.table, targets=targets)))
    # Most of one of the six validation weeks sells 7 times the others: 70 times the inner interval's reach.
    unlike = weeks == weeks.max()
    sales = np.full(unlike.sum(), 210.0)
    sales[:10], sales[-10:] = 30.0, 300.0
    targets[shard.validation.rows[unlike], shard.validation.horizons[unlike] - 1] = sales
    shard = replace(shard, table=replace(shard.table, targets=targets))
    calibrate(model, shard, alone)
    # The scale of 3 holds five of six weeks.
    torch.testing.assert_close(model.widening[:, :, 0], torch.full_like(model.widening[:, :, 0], 3.0))
    assert widest_week(model, shard, alone) == pytest.approx(7.0)
    # Intervals without a width cannot be widened.
    model.widening.zero_()
    assert widest_week(model, shard, alone) == 1.0
    shard = replace(shard, table=replace(shard.table, targets=np.full_like(targets, 30.0)))
    calibrate(model, shard, alone)
    assert widest_week(model, shard, alone) == pytest.approx(1.0)


def test_each_week_ahead_has_its_own_scale(
    example: Example, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shelfcast.train.calibration.MIN_SCORES", 1)
    shard = read_shard(example.spec, 0, 1)
    ahead = torch.arange(1.0, 5.0)
    targets = np.broadcast_to(10 * ahead.numpy(), shard.table.targets.shape).astype(np.float64)
    shard = replace(shard, table=replace(shard.table, targets=targets))
    model = SkewedNetwork(shard)
    calibrate(model, shard, alone)
    scales = torch.stack([ahead, ahead / 2], dim=1)[:, None]
    torch.testing.assert_close(model.widening, scales.expand_as(model.widening))


@pytest.mark.parametrize("fewest", [10, 10_000])
def test_the_intervals_cover_80_and_95_percent_of_the_validation(
    example: Example, alone: Processes, monkeypatch: pytest.MonkeyPatch, fewest: int
) -> None:
    monkeypatch.setattr("shelfcast.train.calibration.MIN_SCORES", fewest)
    shard = read_shard(example.spec, 0, 1)
    model = GlobalModel(shard.table.features, [1, 2], [1], 4)
    calibrate(model, shard, alone)
    batch = BatchReader(shard.table, torch.device("cpu")).read(shard.validation)
    with torch.no_grad():
        quantiles = model(*batch.inputs)
    for low, high, coverage in ((1, 3, 0.8), (0, 4, 0.95)):
        inside = (quantiles[:, low] <= batch.actual) & (batch.actual <= quantiles[:, high])
        # With few scores, the conformal rank exceeds the plain quantile's rank by more.
        assert coverage <= float(inside.double().mean()) <= coverage + (0.05 if fewest == 10 else 0.01)
    factors = model.widening[:, :, 0].flatten().tolist()
    assert len(set(factors)) == (4 * CALIBRATION_BINS if fewest == 10 else 1)


def test_each_size_has_as_many_validation_samples(example: Example, alone: Processes) -> None:
    shard = read_shard(example.spec, 0, 1)
    model = GlobalModel(shard.table.features, [1, 2], [1], 4)
    calibrate(model, shard, alone)
    features, _, _, horizon = BatchReader(shard.table, torch.device("cpu")).read(shard.validation).inputs
    level = model.members[0].prepare(features, horizon).level.double().numpy()
    edges = np.quantile(level, np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS)
    np.testing.assert_allclose(model.size_edges_usd.numpy(), edges, rtol=1e-6)
