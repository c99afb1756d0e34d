"""Calibration of the totals' intervals at each level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_calibration import SkewedNetwork
from train_example import Example

from shelfcast.level_sums import interval, scales_at, totals
from shelfcast.levels import DeclaredLevel, Groups, Levels
from shelfcast.train.calibration import MIN_SCORES, conformal_scale
from shelfcast.train.data import Shard, read_shard
from shelfcast.train.distributed import Processes
from shelfcast.train.level_calibration import calibrate_levels, independent_totals, level_scale


def test_one_total_a_week_is_split_conformal_prediction() -> None:
    scores = np.random.default_rng(3).permutation(np.arange(1.0, 31.0))
    for coverage in (0.8, 0.95):
        assert level_scale(scores, np.arange(30), coverage) == conformal_scale(scores, coverage)
    # Nine weeks say nothing about the highest twentieth: the largest score counts.
    assert level_scale(scores[:9], np.arange(9), 0.95) == scores[:9].max()


def test_totals_that_share_their_weeks_errors_count_as_one() -> None:
    generator, weeks = np.random.default_rng(3), np.repeat(np.arange(40), 20)
    alike = np.repeat(generator.random(40) < 0.8, 20)
    assert independent_totals(alike, weeks) == 40
    assert independent_totals(generator.random(800) < 0.8, weeks) > 400
    assert independent_totals(np.full(20, True), np.zeros(20, dtype=np.int64)) == 1
    # Eight weeks of the same errors: 0.8 * (1 + 1 / 8) of them.
    scores = np.repeat(np.arange(1.0, 9.0), 20)
    assert level_scale(scores, weeks[:160], 0.8) == 8.0


def test_totals_without_a_width_take_the_largest_scale_of_the_others() -> None:
    scores, weeks = np.array([np.inf, np.inf, 2.0, 1.0]), np.arange(4)
    assert level_scale(scores, weeks, 0.8) == 2.0
    assert level_scale(np.full(3, np.inf), np.arange(3), 0.8) == 1.0


@pytest.mark.parametrize(("shared", "least_scale", "most_scale"), [(0.0, 0.05, 0.25), (3.0, 0.8, 1.5)])
def test_the_interval_of_a_total_holds_its_share_of_new_weeks(
    shared: float, least_scale: float, most_scale: float
) -> None:
    """Errors of 50 series are independent, or follow a shock of the week that all of them share."""
    generator = np.random.default_rng(4)
    series, weeks, held, scales = 50, 40, [], []
    width = 1.2816 * np.sqrt(1 + shared**2)
    for _ in range(200):
        errors = generator.normal(size=(2 * weeks, series)) + shared * generator.normal(size=(2 * weeks, 1))
        total = errors.sum(axis=1)
        scale = level_scale(np.abs(total[:weeks]) / (series * width), np.arange(weeks), 0.8)
        held.append(np.mean(np.abs(total[weeks:]) <= scale * series * width))
        scales.append(scale)
    assert np.mean(held) == pytest.approx(0.8, abs=0.02)
    assert least_scale < np.mean(scales) < most_scale


def with_targets(example: Example, value: float) -> Shard:
    shard = read_shard(example.spec, 0, 1)
    levels = Levels({"region": DeclaredLevel("store", {1: "north", 2: "north", 3: "south"})})
    targets = np.full_like(shard.table.targets, value)
    return replace(shard, table=replace(shard.table, targets=targets, levels=levels))


def test_scales_come_from_the_summed_errors_of_the_validation_weeks(
    example: Example, alone: Processes
) -> None:
    # The medians are 0 and the quantiles 10 and 20 above them.
    shard = with_targets(example, 5.0)
    model = SkewedNetwork(shard)
    calibrate_levels(model, shard, alone)
    assert list(model.level_scales) == ["store", "dept", "region", "total"]
    for scales in model.level_scales.values():
        assert (scales.coverage80, scales.coverage95) == ([0.5] * 4, [0.25] * 4)

    # Half of the series sell 5 and half of them -0.5: sums keep the sign of the larger part.
    even = shard.table.dept % 2 == 0
    shard.table.targets[even] = -0.5
    calibrate_levels(model, shard, alone)
    assert model.level_scales["total"].coverage80[0] < 0.5
    assert model.level_scales["dept"].coverage80[0] == 0.5

    # Weeks outside of the validation weeks change nothing.
    before = dict(model.level_scales)
    chosen = np.zeros(shard.table.targets.shape, dtype=bool)
    chosen[shard.validation.rows, shard.validation.horizons - 1] = True
    shard.table.targets[~chosen] = 1e6
    calibrate_levels(model, shard, alone)
    assert model.level_scales == before


def test_scales_are_of_the_weeks_ahead_where_there_are_enough_totals(
    example: Example, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = with_targets(example, 5.0)
    shard.table.targets[:, 2] = 10.0
    model = SkewedNetwork(shard)
    monkeypatch.setattr("shelfcast.train.level_calibration.MIN_SCORES", 6)
    calibrate_levels(model, shard, alone)
    assert model.level_scales["total"].coverage80 == [0.5, 0.5, 1.0, 0.5]
    monkeypatch.setattr("shelfcast.train.level_calibration.MIN_SCORES", MIN_SCORES)
    calibrate_levels(model, shard, alone)
    assert model.level_scales["total"].coverage80 == [1.0] * 4


def test_processes_find_the_same_scales(example: Example, alone: Processes) -> None:
    whole = read_shard(example.spec, 0, 1)
    model = SkewedNetwork(whole)
    calibrate_levels(model, whole, alone)
    together = model.level_scales

    class Pair(Processes):
        """Two processes, of which the other one has already said what it knows."""

        def gather(self, value):  # type: ignore[no-untyped-def]
            asked.append(value)
            return [*(parts.pop(0) if parts else []), value]

    asked: list[object] = []
    parts: list[list[object]] = []
    pair = Pair(**{name: getattr(alone, name) for name in alone.__dataclass_fields__})
    calibrate_levels(model, read_shard(example.spec, 0, 2), pair)
    assert model.level_scales != together
    parts.extend([value] for value in list(asked))
    calibrate_levels(model, read_shard(example.spec, 1, 2), pair)
    assert model.level_scales == together


def test_the_lower_end_of_a_total_is_below_zero_only_where_its_series_are() -> None:
    median, low, high = np.array([10.0, 10.0]), np.array([5.0, -5.0]), np.array([20.0, 20.0])
    lower, upper = interval(median, low, high, np.array([3.0, 3.0]))
    assert lower.tolist() == [0.0, -5.0]
    assert upper.tolist() == [40.0, 40.0]


def test_rows_of_no_known_member_are_in_no_total() -> None:
    groups = Groups(np.array([0, -1, 0, 1]), ["a", "b"])
    sums = totals(groups, np.array([7, 7, 7, 7]), np.ones(4, dtype=np.int64), {"x": np.arange(1.0, 5.0)})
    assert (sums.values["x"].tolist(), sums.rows.tolist(), sums.group.tolist()) == ([4, 4], [2, 1], [0, 1])


def test_a_late_series_takes_the_scale_of_the_last_week_ahead(example: Example, alone: Processes) -> None:
    model = SkewedNetwork(with_targets(example, 5.0))
    calibrate_levels(model, with_targets(example, 5.0), alone)
    assert scales_at(model.level_scales["total"], np.array([1, 9]))[0].tolist() == [0.5, 0.5]
    assert torch.is_grad_enabled()
