"""The calibration of the intervals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from train_example import Example

from shelfcast.models.global_model import GlobalModel
from shelfcast.models.network import SIZE_GROUPS
from shelfcast.train.batch import BatchReader
from shelfcast.train.calibration import calibrate, conformal_factor
from shelfcast.train.data import read_shard
from shelfcast.train.processes import Processes


def test_the_factor_is_the_score_of_the_conformal_rank() -> None:
    # ceil(0.8 * (9 + 1)) = 8
    assert conformal_factor(np.array([9.0, 1, 8, 2, 7, 3, 6, 4, 5]), 0.8) == 8.0
    # Of too few scores for the rank, the largest.
    assert conformal_factor(np.array([2.0, 3.0]), 0.8) == 3.0


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_new_scores_stay_below_the_factor_as_often_as_promised(coverage: float) -> None:
    generator = np.random.default_rng(1)
    shares = []
    for _ in range(300):
        scores = generator.exponential(size=400)
        shares.append(np.mean(scores[200:] <= conformal_factor(scores[:200], coverage)))
    assert np.mean(shares) == pytest.approx(coverage, abs=0.01)


@pytest.mark.parametrize("fewest", [10, 10_000])
def test_the_intervals_cover_80_and_95_percent_of_the_validation(
    example: Example, alone: Processes, monkeypatch: pytest.MonkeyPatch, fewest: int
) -> None:
    monkeypatch.setattr("shelfcast.train.calibration.FEWEST_SCORES", fewest)
    shard = read_shard(example.spec, 0, 1)
    model = GlobalModel(shard.table.features, [1, 2], [1], 4)
    calibrate(model, shard, alone)
    batch = BatchReader(shard.table, torch.device("cpu")).read(shard.validation)
    with torch.no_grad():
        quantiles = model(*batch.inputs)
    for low, high, coverage in ((1, 3, 0.8), (0, 4, 0.95)):
        inside = (quantiles[:, low] <= batch.actual) & (batch.actual <= quantiles[:, high])
        # Of few scores the conformal rank is that many more.
        assert coverage <= float(inside.double().mean()) <= coverage + (0.05 if fewest == 10 else 0.01)
    factors = model.widening[:, :, 0].flatten().tolist()
    assert len(set(factors)) == (4 * SIZE_GROUPS if fewest == 10 else 1)
