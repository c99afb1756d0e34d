"""Nothing that a training sees may change when sales after its last target week do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from train_example import WEEKS, Example, write_example

from shelfcast.features.samples import Integers, OriginTable
from shelfcast.models.global_model import GlobalModel
from shelfcast.train import normalization
from shelfcast.train.data import EpochSampler, Samples, Shard, read_shard
from shelfcast.train.distributed import Processes
from shelfcast.train.normalization import fit_normalization, known_ids

#: Number of the first week that is no target of training samples: 6 of the test, 6 of the validation.
FIRST_UNSEEN_WEEK = WEEKS - 12
Bits = dict[str, bytes]


def training_bits(example: Example, processes: Processes) -> Bits:
    """Returns all training samples and the constants made of them, bit by bit."""
    shard = read_shard(example.spec, 0, 1)
    sampler = EpochSampler([len(samples) for samples in shard.training], 256, seed=7)
    torch.manual_seed(7)
    model = GlobalModel(shard.table.features, *known_ids(shard, processes), 4)
    normalization.fit_normalization(model, shard, sampler, processes)
    bits = {f"constant {name}": value.numpy().tobytes() for name, value in model.named_buffers()}
    for file, samples in enumerate(shard.training):
        rows, horizons = samples.rows, samples.horizons
        values = {
            "store": shard.table.store[rows],
            "dept": shard.table.dept[rows],
            "origin": shard.table.origin[rows],
            "horizon": horizons,
            "features": shard.table.matrix(rows, horizons),
            "target": shard.table.targets[rows, horizons - 1],
        }
        bits |= {f"{name} of file {file}": value.tobytes() for name, value in values.items()}
    return bits


def assert_no_leak(folder: Path, processes: Processes, from_week: int = FIRST_UNSEEN_WEEK) -> None:
    """Adds a million US dollars to all sales from that week on."""
    plain = training_bits(write_example(folder / "plain"), processes)
    changed = write_example(folder / "changed", add_usd_from_week=from_week, add_usd=1e6)
    later = training_bits(changed, processes)
    assert plain.keys() == later.keys()
    different = [name for name in plain if plain[name] != later[name]]
    assert not different


def test_training_sees_nothing_of_the_weeks_after_it(tmp_path: Path, alone: Processes) -> None:
    assert_no_leak(tmp_path, alone)


def test_the_last_week_of_training_is_seen(tmp_path: Path, alone: Processes) -> None:
    with pytest.raises(AssertionError, match=r"target of file"):
        assert_no_leak(tmp_path, alone, FIRST_UNSEEN_WEEK - 1)


def leak_scaler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants of all rows."""

    def fit_all(model: GlobalModel, shard: Shard, _: EpochSampler, processes: Processes) -> None:
        rows = np.repeat(np.arange(len(shard.table.store)), shard.table.horizon_weeks)
        horizons = np.tile(np.arange(1, shard.table.horizon_weeks + 1), len(shard.table.store))
        everything = replace(shard, files=[0], training=[Samples(rows, horizons)])
        fit_normalization(model, everything, EpochSampler([len(rows)], 256, seed=7), processes)

    monkeypatch.setattr(normalization, "fit_normalization", fit_all)


def leak_random_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training samples that are drawn from all known targets, whatever their weeks."""
    plain = OriginTable.samples

    def split(table: OriginTable, *_: np.datetime64) -> tuple[Integers, Integers]:
        rows, horizons = plain(table, table.origin.min(), table.origin.max() + np.timedelta64(365, "D"))
        drawn = np.random.default_rng(3).random(len(rows)) < 0.8
        return rows[drawn], horizons[drawn]

    monkeypatch.setattr(OriginTable, "samples", split)


@pytest.mark.parametrize("plant", [leak_scaler, leak_random_split])
def test_a_planted_leak_is_found(
    plant: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    alone: Processes,
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        assert_no_leak(tmp_path, alone)
