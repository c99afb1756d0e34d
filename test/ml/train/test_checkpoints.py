"""Only complete checkpoints count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import torch

from shelfcast.contracts.results import TrialParameters
from shelfcast.contracts.specs import Snapshot, TrainSpec
from shelfcast.job import UserError, write_json
from shelfcast.train.checkpoint import Checkpoints, NewestCheckpoint, _sha256, config_hash

SPEC = TrainSpec(
    snapshot=Snapshot(
        id="example-1-000000000000",
        dataset="example",
        batch_id=1,
        content_hash="",
        row_count=100,
        series_count=2,
        first_week=date(2024, 1, 5),
        last_week=date(2025, 1, 3),
    ),
    feast_project="example",
    feature_set_version="0" * 12,
    training_data_uri="file:///data",
)
CONFIG = config_hash(SPEC)
BEST = 4


def saved(directory: Path, epochs: int) -> Checkpoints:
    checkpoints = Checkpoints(directory, CONFIG, "2 on cpu")
    for epoch in range(1, epochs + 1):
        checkpoints.save(epoch, {"weights": torch.full((1_000,), float(epoch))}, min(epoch, BEST))
    return checkpoints


def test_the_newest_is_found_and_the_best_is_kept_beside_two(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path, CONFIG, "2 on cpu").newest() == NewestCheckpoint()
    checkpoints = saved(tmp_path, 11)
    assert checkpoints.newest() == NewestCheckpoint(11, "2 on cpu")
    assert checkpoints.load(11)["weights"][0] == 11
    names = {path.stem for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"epoch-0004", "epoch-0010", "epoch-0011"}
    assert len(list((tmp_path / "checkpoints").iterdir())) == 6


def drop_marker(folder: Path) -> None:
    (folder / "epoch-0003.json").unlink()


def drop_state(folder: Path) -> None:
    (folder / "epoch-0003.pt").unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (drop_marker, "was not written completely"),
        (drop_state, "is missing"),
        (lambda folder: cut(folder / "epoch-0003.pt"), "its bytes differ"),
        (lambda folder: cut(folder / "epoch-0003.json"), "json is damaged"),
        (lambda folder: (folder / "epoch-0003.json").write_text("[]"), "json is damaged"),
        (lambda folder: flip(folder / "epoch-0003.pt", 1_234), "its bytes differ"),
    ],
)
def test_a_damaged_one_is_passed_over_and_said_so(
    tmp_path: Path, damage: Callable[[Path], None], why: str
) -> None:
    checkpoints = saved(tmp_path, 3)
    damage(tmp_path / "checkpoints")
    found = checkpoints.newest()
    assert (found.epoch, found.trained_by) == (2, "2 on cpu")
    [sentence] = found.skipped
    assert "epoch-0003.pt is skipped: it" in sentence or "epoch-0003.json" in sentence
    assert why in sentence
    checkpoints.save(3, {"weights": torch.zeros(1)}, 3)
    assert checkpoints.newest() == NewestCheckpoint(3, "2 on cpu")


def test_any_flipped_byte_of_a_marker_is_seen(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 2)
    marker = tmp_path / "checkpoints" / "epoch-0002.json"
    for place in range(len(marker.read_bytes())):
        flip(marker, place)
        assert checkpoints.newest().epoch == 1, marker.read_bytes()
        flip(marker, place)
    assert checkpoints.newest() == NewestCheckpoint(2, "2 on cpu")


def test_damaged_ones_of_later_epochs_do_not_push_out_complete_ones(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 2)
    for epoch in (98, 99):
        (tmp_path / "checkpoints" / f"epoch-00{epoch}.json").write_text("torn", encoding="utf-8")
    checkpoints.save(3, {"weights": torch.zeros(1)}, 3)
    (tmp_path / "checkpoints" / "epoch-0003.pt").unlink()
    found = checkpoints.newest()
    assert found.epoch == 2
    assert len(found.skipped) == 3


def test_a_save_that_died_on_its_way_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = saved(tmp_path, 2)

    def die(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("shelfcast.train.checkpoint.write_json", die)
    with pytest.raises(OSError, match="no space"):
        checkpoints.save(3, {"weights": torch.zeros(1)}, 3)
    assert checkpoints.newest().epoch == 2
    assert checkpoints.load(2)["weights"][0] == 2


def test_one_of_an_earlier_version_is_passed_over(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 3)
    marker = tmp_path / "checkpoints" / "epoch-0003.json"
    described = {"epoch": 3, "configHash": CONFIG, "worldSize": 2}
    sha256 = _sha256(described, marker.with_suffix(".pt").read_bytes())
    write_json(marker, {**described, "sha256": sha256})
    found = checkpoints.newest()
    assert found.epoch == 2
    assert "epoch-0003.pt is skipped: an earlier version" in found.skipped[0]


@pytest.mark.parametrize(
    "changed",
    [
        config_hash(replace(SPEC, seed=8)),
        config_hash(replace(SPEC, snapshot=replace(SPEC.snapshot, content_hash="1"))),
        config_hash(SPEC, TrialParameters(learning_rate=0.002, batch_size=1_024, weight_decay_factor=3.0)),
    ],
)
def test_another_configuration_is_refused(tmp_path: Path, changed: str) -> None:
    saved(tmp_path, 1)
    with pytest.raises(UserError, match=r"another spec\.json") as error:
        Checkpoints(tmp_path, changed, "2 on cpu").newest()
    assert error.value.type == "InvalidInput"


def test_another_number_of_processes_goes_on(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    same = Checkpoints(tmp_path, config_hash(replace(SPEC, processes=3, gpu_seconds=60)), "3 on cuda")
    assert same.newest() == NewestCheckpoint(1, "2 on cpu")
