"""Batches hold what the table says, wherever the table lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from train_example import Example

from shelfcast.calendar import HOLIDAY_WEIGHT
from shelfcast.train.data import Samples, read_shard
from shelfcast.train.minibatch import BatchReader


# Of one file, Arrow's memory is read-only.
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("processes", [1, 16])
@pytest.mark.parametrize("count", [0, 1, 500])
def test_a_batch_is_what_the_table_says(example: Example, processes: int, count: int) -> None:
    shard = read_shard(example.spec, 0, processes)
    table = shard.table
    samples = shard.validation.take(np.random.default_rng(3).permutation(len(shard.validation))[:count])
    batch = BatchReader(table, torch.device("cpu")).read(samples)
    features, store, dept, horizon = (tensor.numpy() for tensor in batch.inputs)
    np.testing.assert_array_equal(features, table.matrix(samples.rows, samples.horizons))
    np.testing.assert_array_equal(store, table.store[samples.rows])
    np.testing.assert_array_equal(dept, table.dept[samples.rows])
    np.testing.assert_array_equal(horizon, samples.horizons)
    targets = table.targets[samples.rows, samples.horizons - 1]
    np.testing.assert_array_equal(batch.actual.numpy(), targets.astype(np.float32))
    names = [feature.name for feature in table.features]
    holiday = features[:, names.index("is_holiday")] > 0
    np.testing.assert_array_equal(batch.weight.numpy(), np.where(holiday, HOLIDAY_WEIGHT, 1.0))


def test_own_holidays_weigh_more_and_american_ones_do_not(example: Example) -> None:
    shard = read_shard(example.spec, 0, 1)
    # The weeks of Easter are no American holidays.
    own = [replace(f, name="holiday_ahead") if f.name == "is_easter" else f for f in shard.table.features]
    table = replace(shard.table, features=tuple(own))
    batch = BatchReader(table, torch.device("cpu")).read(shard.training[0])
    names = [feature.name for feature in own]
    easter = batch.inputs[0].numpy()[:, names.index("holiday_ahead")] > 0
    assert 0 < easter.sum() < len(easter)
    np.testing.assert_array_equal(batch.weight.numpy(), np.where(easter, HOLIDAY_WEIGHT, 1.0))


@pytest.mark.parametrize(("room", "home"), [(1e12, "meta"), (0.0, "cpu")])
def test_the_table_stays_on_the_cpu_where_a_device_has_no_room(
    example: Example, monkeypatch: pytest.MonkeyPatch, room: float, home: str
) -> None:
    monkeypatch.setattr("shelfcast.train.minibatch._room", lambda _: room)
    shard = read_shard(example.spec, 0, 1)
    device = torch.device("meta")
    reader = BatchReader(shard.table, device)
    assert {tensor.device.type for tensor in reader._table.values()} == {home}
    batch = reader.read(Samples(np.array([5, 6]), np.array([1, 2])))
    assert {tensor.device for tensor in (*batch.inputs, batch.actual, batch.weight)} == {device}
