"""The ensemble weights: formulas by their errors of a year, trained components by those of the validation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from train_example import Example

from shelfcast.models.ensemble import Ensemble
from shelfcast.models.global_model import GlobalModel
from shelfcast.train import shares
from shelfcast.train.data import Shard, read_shard
from shelfcast.train.distributed import Processes
from shelfcast.train.shares import choose_shares


def constant(values: list[float], kind: type[GlobalModel] = GlobalModel) -> type[GlobalModel]:
    """Returns a model whose components forecast these values."""

    class Constant(kind):  # type: ignore[misc, valid-type]
        def forecasts(self, features: Tensor, store: Tensor, dept: Tensor, horizon: Tensor) -> Tensor:
            count = len(features) + 0 * len(store + dept + horizon)
            return torch.tensor(values)[:, None].expand(len(values), count)

    return Constant


def with_targets(shard: Shard, targets: np.ndarray) -> Shard:
    return replace(shard, table=replace(shard.table, targets=targets))


def of_1000(example: Example) -> Shard:
    """Returns a shard whose sales are 1,000 in each week."""
    shard = read_shard(example.spec, 0, 1)
    return with_targets(shard, np.full_like(shard.table.targets, 1_000.0))


def chosen(model: type[GlobalModel], shard: Shard, processes: Processes) -> list[float]:
    made = model(shard.table.features, [1, 2], [1], 4)
    choose_shares(made, shard, processes)
    assert float(made.shares.sum()) == pytest.approx(1)
    return made.shares.tolist()


def weeks_with_a_year_before(shard: Shard) -> int:
    """Returns the weeks of the last year in which some series knows last year's sales."""
    table = shard.table
    column = [feature.name for feature in table.features].index("last_year")
    weeks = set()
    for part in [*shard.training, shard.validation]:
        known = ~np.isnan(table.matrix(part.rows, part.horizons)[:, column])
        weeks |= set(table.target_week(part.rows, part.horizons)[known].tolist())
    return len(sorted(weeks)[-52:])


def test_the_weeks_of_a_year_divide_what_formulas_get(example: Example, alone: Processes) -> None:
    shard = of_1000(example)
    weeks = weeks_with_a_year_before(shard)
    assert weeks > 20
    # 0.8 * 1100 + 0.2 * 600 = 1000: the structural forecast should have 0.2; its prior share is 0.6.
    share = (weeks * 0.2 + 8 * 0.6) / (weeks + 8)
    found = chosen(constant([9_000.0, 1_100.0, 600.0]), shard, alone)
    assert found == pytest.approx([0.225, 0.775 * (1 - share), 0.775 * share], abs=1e-6)


def test_the_validation_decides_a_quarter_of_the_trained_share(example: Example, alone: Processes) -> None:
    shard = of_1000(example)
    best = chosen(constant([1_000.0, 1_700.0, 1_800.0]), shard, alone)
    assert best[0] == pytest.approx(0.75 * 0.3 + 0.25)
    worst = chosen(constant([1_800.0, 1_000.0, 1_000.0]), shard, alone)
    assert worst[0] == pytest.approx(0.75 * 0.3)


def test_only_the_validation_says_how_good_a_trained_component_is(example: Example, alone: Processes) -> None:
    shard = read_shard(example.spec, 0, 1)
    targets = np.full_like(shard.table.targets, 1_000.0)
    # In the validation weeks sales are what the formulas say; the trained component knows the others.
    targets[shard.validation.rows, shard.validation.horizons - 1] = 1_500.0
    found = chosen(constant([1_000.0, 1_500.0, 1_500.0]), with_targets(shard, targets), alone)
    assert found[0] == pytest.approx(0.75 * 0.3)


def test_a_holiday_week_counts_as_in_the_error(example: Example, alone: Processes) -> None:
    shard = read_shard(example.spec, 0, 1)
    table, validation = shard.table, shard.validation
    weeks = table.target_week(validation.rows, validation.horizons)
    holidays = np.unique(weeks)[-2:]
    calendar, targets = np.zeros_like(table.calendar), np.full_like(table.targets, 1_000.0)
    calendar[(holidays - table.first_week) // np.timedelta64(7, "D")] = 1.0
    is_holiday = np.isin(weeks, holidays)
    targets[validation.rows[is_holiday], validation.horizons[is_holiday] - 1] = 800.0
    shard = replace(shard, table=replace(table, calendar=calendar, targets=targets))
    # The trained component is right in two of six weeks, which weigh five times the others.
    assert chosen(constant([800.0, 1_000.0, 1_000.0]), shard, alone)[0] == pytest.approx(0.475)


def test_trees_are_a_trained_component(
    example: Example, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "_structural_share", lambda *_: (0.5, 100))
    # Networks and trees are right together only.
    found = chosen(constant([900.0, 1_100.0, 3_000.0, 3_000.0], Ensemble), of_1000(example), alone)
    assert found[:2] == pytest.approx([0.75 * 0.25 + 0.125, 0.75 * 0.15 + 0.125])


def test_without_a_year_of_history_the_prior_shares_count(example: Example, alone: Processes) -> None:
    shard = of_1000(example)
    table = shard.table
    column = [f.name for f in table.features if "{horizon}" in f.column].index("last_year")
    ahead = table.ahead.copy()
    ahead[:, :, column] = np.nan
    shard = replace(shard, table=replace(table, ahead=ahead))
    found = chosen(constant([9_000.0, 1_100.0, 600.0]), shard, alone)
    assert found == pytest.approx([0.225, 0.775 * 0.4, 0.775 * 0.6])
