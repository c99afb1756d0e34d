"""Checkpoints: all that a training needs to go on as if it had never stopped.

``checkpoints/epoch-0003.pt`` is the state after three epochs, ``epoch-0003.json`` says that it is complete:
it is written last and holds the hash of the other. Anything else there is what a killed process left.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from shelfcast.job import UserError, write_json

KEPT = 2


def config_hash(config: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of all that decides the course of a training, hex."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


class Checkpoints:
    """The checkpoints of one training folder."""

    def __init__(self, directory: Path, config: str) -> None:
        """Looks at ``directory / checkpoints``, which need not exist.

        Args:
            directory: The job's folder.
            config: ``config_hash`` of the training.
        """
        self._folder = directory / "checkpoints"
        self._config = config

    def newest(self) -> int:
        """Returns the number of epochs in the newest complete checkpoint; 0 when there is none.

        Raises:
            UserError: It is of a training with another configuration.
        """
        for marker in sorted(self._folder.glob("epoch-*.json"), reverse=True):
            described = json.loads(marker.read_text(encoding="utf-8"))
            state = marker.with_suffix(".pt")
            if not state.exists() or _sha256(state.read_bytes()) != described["sha256"]:
                continue
            if described["configHash"] != self._config:
                raise UserError(
                    "InvalidInput",
                    f"{marker} is of a training with another spec.json or number of processes; start this "
                    "one in a folder of its own, or delete the folder's checkpoints",
                )
            return int(described["epoch"])
        return 0

    def load(self, epoch: int) -> dict[str, Any]:
        """Returns the state of a complete checkpoint."""
        state: dict[str, Any] = torch.load(self._state(epoch), map_location="cpu", weights_only=True)
        return state

    def save(self, epoch: int, state: Mapping[str, Any]) -> None:
        """Writes a checkpoint that is complete or does not count; deletes all but the newest ``KEPT``."""
        self._folder.mkdir(exist_ok=True)
        content = io.BytesIO()
        torch.save(state, content)
        path = self._state(epoch)
        temporary = path.with_name(f".{path.name}.partial")
        with temporary.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        described = {"epoch": epoch, "sha256": _sha256(content.getvalue()), "configHash": self._config}
        write_json(path.with_suffix(".json"), described)
        _sync(self._folder)
        for marker in sorted(self._folder.glob("epoch-*.json"))[:-KEPT]:
            # The marker first: a state without one does not count.
            marker.unlink()
            marker.with_suffix(".pt").unlink(missing_ok=True)

    def _state(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:04}.pt"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sync(folder: Path) -> None:
    """Makes renames in the folder last through a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
