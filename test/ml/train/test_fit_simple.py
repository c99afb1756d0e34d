"""Fitting of the simple forecasts on the validation weeks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from train_example import Example

from shelfcast.contracts.specs import TrainSpec
from shelfcast.features.samples import Floats
from shelfcast.job import read_spec
from shelfcast.models.simple import FORMULAS
from shelfcast.train.__main__ import run
from shelfcast.train.data import Shard, read_shard
from shelfcast.train.distributed import Processes
from shelfcast.train.fit_simple import fit_simple, rank_simple
from shelfcast.train.minibatch import BatchReader


@pytest.fixture(scope="module")
def shard(example: Example) -> Shard:
    return read_shard(example.spec, 0, 1)


def sizes(shard: Shard) -> list[int]:
    return [len(samples) for samples in shard.training]


def with_column(shard: Shard, name: str, changed: Floats) -> Shard:
    """Returns the shard with another column of features."""
    table = shard.table
    names = [f.name for f in table.features if f.view != "calendar" and "{horizon}" not in f.column]
    fixed = table.fixed.copy()
    fixed[:, names.index(name)] = changed
    return replace(shard, table=replace(table, fixed=fixed))


def test_the_formula_with_the_lowest_error_on_the_validation_weeks_is_chosen(
    example: Example, alone: Processes, shard: Shard
) -> None:
    # A mean of 13 weeks that knows the next week, which is the only one that is validated.
    one = with_column(shard, "rolling_mean_13", np.nan_to_num(shard.table.targets[:, 0]))
    one = replace(one, validation=one.validation.take(np.flatnonzero(one.validation.horizons == 1)))
    fitted = fit_simple("simple", example.spec, one, sizes(one), alone)
    assert fitted.model.chosen.name == "moving_average of 13 weeks"
    assert fitted.validation_wmae["moving_average of 13 weeks"] == pytest.approx(0, abs=0.01)
    # The example has no intermittent series.
    usual = [formula.name for formula in FORMULAS["simple"] if formula.feature is None]
    assert list(fitted.validation_wmae) == usual
    assert "the lowest of 7 simple forecasts" in fitted.description


def test_the_formulas_are_ranked_by_their_errors_each_with_its_own_intervals(
    example: Example, alone: Processes, shard: Shard
) -> None:
    ranked = rank_simple("simple", example.spec, shard, sizes(shard), alone)
    errors = ranked[0].validation_wmae
    order = sorted(errors, key=lambda name: errors[name])
    # None after both naive forecasts, which cannot lose to themselves.
    last = max(order.index("naive"), order.index("seasonal_naive"))
    assert 0 < last < len(order) - 1
    assert [fitted.model.chosen.name for fitted in ranked] == order[: last + 1]
    for fitted in ranked:
        if fitted.model.chosen.name in ("naive", "seasonal_naive"):
            alike = fit_simple(fitted.model.chosen.preset, example.spec, shard, sizes(shard), alone)
            torch.testing.assert_close(fitted.model.widening, alike.model.widening)
    averages = rank_simple("moving_average", example.spec, shard, sizes(shard), alone)
    assert len(averages) == len(FORMULAS["moving_average"])


def test_the_error_is_the_wmae_of_the_validation_weeks(
    example: Example, alone: Processes, shard: Shard
) -> None:
    fitted = fit_simple("naive", example.spec, shard, sizes(shard), alone)
    batch = BatchReader(shard.table, torch.device("cpu")).read(shard.validation)
    naive = [feature.name for feature in shard.table.features].index("sales_0")
    error = (batch.inputs[0][:, naive] - batch.actual).abs() * batch.weight
    assert fitted.validation_wmae == {"naive": pytest.approx(float(error.sum() / batch.weight.sum()))}


def test_the_intervals_hold_their_share_of_the_validation_weeks(
    example: Example, alone: Processes, shard: Shard
) -> None:
    model = fit_simple("moving_average", example.spec, shard, sizes(shard), alone).model
    batch = BatchReader(shard.table, torch.device("cpu")).read(shard.validation)
    with torch.no_grad():
        quantiles = model(*batch.inputs)
    for low, high, coverage in ((1, 3, 0.8), (0, 4, 0.95)):
        inside = (quantiles[:, low] <= batch.actual) & (batch.actual <= quantiles[:, high])
        assert coverage <= float(inside.double().mean()) <= coverage + 0.03


@pytest.mark.parametrize(("least", "is_bounded"), [(0.0, True), (-0.01, False)])
def test_a_single_return_in_the_weeks_before_the_test_lets_forecasts_be_negative(
    example: Example, alone: Processes, shard: Shard, least: float, is_bounded: bool
) -> None:
    used = np.zeros(shard.table.targets.shape, dtype=bool)
    for samples in (*shard.training, shard.validation):
        used[samples.rows, samples.horizons - 1] = True
    # Sales of the test weeks, which no sample of the training has, decide nothing.
    targets = np.where(used, np.abs(shard.table.targets), -1.0)
    targets[shard.validation.rows[-1], shard.validation.horizons[-1] - 1] = least
    changed = replace(shard, table=replace(shard.table, targets=targets))
    model = fit_simple("naive", example.spec, changed, sizes(changed), alone).model
    assert model.non_negative == is_bounded


def test_a_job_of_a_simple_preset_has_no_epochs(example: Example, tmp_path: Path) -> None:
    directory = example.job(tmp_path / "job", preset="simple", processes=1, search={"trials": 2})
    trained = run(read_spec(directory, TrainSpec), directory)
    assert trained is not None
    assert (trained.parameter_count, trained.best_epoch, trained.epochs) == (0, 0, [])
    assert trained.started_from_epochs == [0]
    assert not (directory / "report" / "loss.png").exists()
    progress = (directory / "progress.jsonl").read_text()
    assert "the search is skipped" in progress
    assert "the lowest of 7 simple forecasts" in progress
    again = example.job(tmp_path / "again", preset="simple", processes=1)
    repeated = run(read_spec(again, TrainSpec), again)
    assert repeated is not None
    assert repeated.model_hash == trained.model_hash
