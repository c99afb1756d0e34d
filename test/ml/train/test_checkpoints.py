"""Only complete checkpoints count."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from shelfcast.job import UserError
from shelfcast.train.checkpoint import Checkpoints, config_hash

CONFIG = config_hash({"seed": 7})


def saved(directory: Path, epochs: int) -> Checkpoints:
    checkpoints = Checkpoints(directory, CONFIG)
    for epoch in range(1, epochs + 1):
        checkpoints.save(epoch, {"weights": torch.full((1_000,), float(epoch))})
    return checkpoints


def test_the_newest_of_two_kept_ones_is_found(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path, CONFIG).newest() == 0
    checkpoints = saved(tmp_path, 11)
    assert checkpoints.newest() == 11
    assert checkpoints.load(11)["weights"][0] == 11
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["epoch-0010.json", "epoch-0010.pt", "epoch-0011.json", "epoch-0011.pt"]


def test_a_state_without_its_marker_does_not_count(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 3)
    (tmp_path / "checkpoints" / "epoch-0003.json").unlink()
    assert checkpoints.newest() == 2


def test_a_torn_state_does_not_count(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 3)
    state = tmp_path / "checkpoints" / "epoch-0003.pt"
    state.write_bytes(state.read_bytes()[:-100])
    assert checkpoints.newest() == 2


def test_a_save_that_died_on_its_way_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = saved(tmp_path, 2)

    def die(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("shelfcast.train.checkpoint.write_json", die)
    with pytest.raises(OSError, match="no space"):
        checkpoints.save(3, {"weights": torch.zeros(1)})
    assert checkpoints.newest() == 2
    assert checkpoints.load(2)["weights"][0] == 2


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    with pytest.raises(UserError, match=r"another spec\.json") as error:
        Checkpoints(tmp_path, config_hash({"seed": 8})).newest()
    assert error.value.type == "InvalidInput"
