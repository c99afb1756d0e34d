"""A training in the test's own process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shelfcast.contracts.specs import TrainSpec
from shelfcast.job import main
from shelfcast.train.__main__ import run


def train_here(directory: Path) -> int:
    """Runs a training in this process, which spares the import of PyTorch; returns its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["shelfcast.train", "--dir", directory.as_uri()])
        try:
            main(run, TrainSpec)
        except SystemExit as end:
            return int(str(end.code))
        except Exception:
            # An interpreter's exit status after an error that nobody catches.
            return 1
    return 0
