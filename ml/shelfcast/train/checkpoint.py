"""Checkpoints: the whole state of a training, so that a resumed one continues exactly.

``checkpoints/epoch-0003.pt`` is the state after three epochs. ``epoch-0003.json`` marks it as complete: it is
written last and holds a hash of the state and of its other fields. Incomplete or damaged checkpoints, left
by a killed process or a broken disk, are skipped with a message.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from shelfcast.contracts.results import TrialParameters
from shelfcast.contracts.specs import TrainSpec
from shelfcast.contracts.wire import encode
from shelfcast.job import UserError, write_json

#: Number of newest checkpoints to keep, besides the best one.
KEPT = 2

#: Keys of ``spec.json`` that may change between starts.
_CHANGEABLE = frozenset({"processes", "maxWallTimeMinutes", "gpuSeconds", "withReplacements"})


def config_hash(spec: TrainSpec, searched: TrialParameters | None = None) -> str:
    """Returns the SHA-256, hex, of the spec without the keys that may change, and of searched parameters."""
    values = encode(spec) | ({} if searched is None else encode(searched))
    config = {name: value for name, value in values.items() if name not in _CHANGEABLE}
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class NewestCheckpoint:
    """The newest complete checkpoint.

    Attributes:
        epoch: Number of completed epochs; 0 without a checkpoint.
        trained_by: ``Processes.description`` of the training that wrote it; empty without a checkpoint.
        skipped: A message about each newer one that is incomplete or damaged.
    """

    epoch: int = 0
    trained_by: str = ""
    skipped: list[str] = field(default_factory=list)


class Checkpoints:
    """The checkpoints of one training folder."""

    def __init__(self, directory: Path, config: str, trained_by: str) -> None:
        """Uses ``directory / checkpoints``, which need not exist.

        Args:
            directory: The job's folder.
            config: ``config_hash`` of the training.
            trained_by: ``Processes.description`` of this training.
        """
        self._folder = directory / "checkpoints"
        self._config = config
        self._trained_by = trained_by

    def newest(self) -> NewestCheckpoint:
        """Finds the newest complete checkpoint.

        Raises:
            UserError: It belongs to a training with another configuration.
        """
        skipped: list[str] = []
        for name in sorted({path.stem for path in self._folder.glob("epoch-*")}, reverse=True):
            try:
                described = self._described(name)
            except _IncompleteError as why:
                skipped.append(f"the checkpoint {self._folder / name}.pt is skipped: {why}")
                continue
            if described["configHash"] != self._config:
                raise UserError(
                    "InvalidInput",
                    f"the checkpoint {self._folder / name}.pt belongs to a training with another spec.json; "
                    "start this one in another folder, or delete the folder's checkpoints",
                )
            return NewestCheckpoint(described["epoch"], described["trainedBy"], skipped)
        return NewestCheckpoint(skipped=skipped)

    def load(self, epoch: int) -> dict[str, Any]:
        """Returns the state of a complete checkpoint."""
        state: dict[str, Any] = torch.load(self._state(epoch), map_location="cpu", weights_only=True)
        return state

    def save(self, epoch: int, state: Mapping[str, Any], best_epoch: int) -> None:
        """Writes a checkpoint atomically; keeps the newest ``KEPT`` and the best.

        Args:
            epoch: Number of completed epochs.
            state: State that ``load`` returns.
            best_epoch: Best epoch so far.
        """
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
        described = {"epoch": epoch, "configHash": self._config, "trainedBy": self._trained_by}
        marker = path.with_suffix(".json")
        sha256 = _sha256(described, content.getbuffer())
        write_json(marker, {**described, "sha256": sha256})
        _sync(self._folder)
        best = self._state(best_epoch).with_suffix(".json")
        # Later epochs have only skipped checkpoints.
        complete = [other for other in sorted(self._folder.glob("epoch-*.json")) if other <= marker]
        for old in complete[:-KEPT]:
            if old != best:
                # The marker first: a state without a marker is incomplete.
                old.unlink()
                old.with_suffix(".pt").unlink(missing_ok=True)

    def _state(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:04}.pt"

    def _described(self, name: str) -> dict[str, Any]:
        """Returns the fields of a complete checkpoint's marker.

        Raises:
            _IncompleteError: The checkpoint is not complete.
        """
        try:
            described = json.loads((self._folder / f"{name}.json").read_bytes())
            sha256 = described.pop("sha256")
        except FileNotFoundError:
            raise _IncompleteError("it was not written completely") from None
        except (ValueError, AttributeError, KeyError, TypeError):
            raise _IncompleteError(f"{name}.json is damaged") from None
        try:
            content = (self._folder / f"{name}.pt").read_bytes()
        except FileNotFoundError:
            raise _IncompleteError("it is missing") from None
        if _sha256(described, content) != sha256:
            raise _IncompleteError("its bytes differ from those that were written")
        if "trainedBy" not in described:
            raise _IncompleteError("an earlier version of shelfcast wrote it")
        result: dict[str, Any] = described
        return result


class _IncompleteError(Exception):
    """Reason to skip a checkpoint."""


def _sha256(described: Mapping[str, Any], content: bytes | memoryview) -> str:
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    digest.update(content)
    return digest.hexdigest()


def _sync(folder: Path) -> None:
    """Flushes renames in the folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
