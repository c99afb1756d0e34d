"""What the tests of the training share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from train_example import Example, write_example

from shelfcast.train.processes import Processes, joined


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """A training data folder that no test changes."""
    return write_example(tmp_path_factory.mktemp("example") / "data")


@pytest.fixture
def alone() -> Iterator[Processes]:
    """A training's only process."""
    with joined() as processes:
        yield processes
