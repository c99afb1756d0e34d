"""Assignment of samples to splits, steps and processes."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from train_example import Example, write_example

from shelfcast.contracts.specs import TrainSpec
from shelfcast.features.samples import read_origin_table
from shelfcast.job import UserError
from shelfcast.train.data import EpochSampler, Samples, Shard, read_shard, split_weeks

Key = tuple[int, int, str, int]


def keys(shard: Shard, samples: Samples) -> list[Key]:
    table = shard.table
    return [
        (int(table.store[row]), int(table.dept[row]), str(table.origin[row]), horizon)
        for row, horizon in zip(samples.rows, samples.horizons.tolist(), strict=True)
    ]


def steps(spec: TrainSpec, world_size: int, epoch: int) -> list[list[Key]]:
    """Returns the samples of each step, those of all processes together."""
    shards = [read_shard(spec, rank, world_size) for rank in range(world_size)]
    counts = {
        file: len(samples)
        for shard in shards
        for file, samples in zip(shard.files, shard.training, strict=True)
    }
    sampler = EpochSampler([counts[file] for file in sorted(counts)], spec.batch_size, spec.seed)
    parts = [[keys(shard, samples) for samples in sampler.batches(shard, epoch)] for shard in shards]
    assert {len(part) for part in parts} == {sampler.steps}
    return [sorted(chain.from_iterable(step)) for step in zip(*parts, strict=True)]


def test_a_step_has_the_same_samples_with_any_number_of_processes(example: Example) -> None:
    one = steps(example.spec, 1, epoch=3)
    assert len(one) > 1
    for world_size in (2, 3, 16):
        assert steps(example.spec, world_size, epoch=3) == one


def test_an_epoch_has_each_sample_once_and_batches_of_the_wanted_size(example: Example) -> None:
    epoch = steps(example.spec, 1, epoch=0)
    seen = list(chain.from_iterable(epoch))
    shard = read_shard(example.spec, 0, 1)
    assert len(set(seen)) == len(seen) == sum(map(len, shard.training))
    # Shares of files are rounded, so a batch is off by less than one sample a file.
    assert all(abs(len(step) - len(seen) / len(epoch)) < 16 for step in epoch)
    assert np.mean([len(step) for step in epoch]) <= example.spec.batch_size
    assert steps(example.spec, 1, epoch=1) != epoch


def test_an_epoch_is_cut_to_its_budget(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shelfcast.train.data.EPOCH_SAMPLES", 1_000)
    seen = list(chain.from_iterable(steps(example.spec, 1, epoch=0)))
    assert 1_000 <= len(seen) <= 1_000 + 16
    assert len(set(seen)) == len(seen)


def test_processes_read_all_files_and_none_twice(example: Example) -> None:
    files = list(chain.from_iterable(read_shard(example.spec, rank, 3).files for rank in range(3)))
    assert sorted(files) == list(range(16))


def test_target_weeks_decide_what_a_sample_is_for(example: Example) -> None:
    shard = read_shard(example.spec, 0, 1)
    last = np.datetime64(example.spec.snapshot.last_week)
    training = np.concatenate([shard.table.target_week(s.rows, s.horizons) for s in shard.training])
    validation = shard.table.target_week(shard.validation.rows, shard.validation.horizons)
    assert training.max() == last - 7 * 12
    assert validation.min() == last - 7 * 11
    assert validation.max() == last - 7 * 6


def content(example: Example, last_training_week: np.datetime64) -> list[NDArray[Any]]:
    """Returns all numbers that a training to this week would see."""
    table = read_origin_table(example.folder)
    first = np.datetime64(example.spec.snapshot.first_week)
    rows, horizons = table.samples(first, last_training_week)
    return [table.matrix(rows, horizons), table.targets[rows, horizons - 1]]


def test_training_sees_nothing_of_later_weeks(example: Example, tmp_path: Path) -> None:
    changed = write_example(tmp_path / "changed", add_usd_from_week=90 - 12, add_usd=1e6)
    snapshot = example.spec.snapshot
    weeks = split_weeks(snapshot.first_week, snapshot.last_week, 6, 6)
    last = weeks.training[1]

    def same(last_training_week: np.datetime64) -> bool:
        pairs = zip(content(example, last_training_week), content(changed, last_training_week), strict=True)
        return all(np.array_equal(one, other, equal_nan=True) for one, other in pairs)

    assert same(last)
    # One week more is a leak, and is seen.
    assert not same(last + 7)


def test_more_processes_than_files_are_refused(example: Example) -> None:
    with pytest.raises(UserError, match="set processes to 16 at most"):
        read_shard(example.spec, 0, 17)


def test_training_data_of_other_features_are_refused(example: Example) -> None:
    with pytest.raises(UserError, match="have featureSetVersion"):
        read_shard(replace(example.spec, feature_set_version="0" * 12), 0, 1)
