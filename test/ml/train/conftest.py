"""Fixtures of the training tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from train_example import Example, write_example

from shelfcast.train.distributed import Processes, init_distributed


@pytest.fixture(scope="module", autouse=True)
def _on_the_cpu(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hides GPUs from all tests but those of GPUs: bits and messages are of a CPU."""
    with pytest.MonkeyPatch.context() as patch:
        if request.module.__name__ != "test_gpu":
            patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """A training data folder that no test changes."""
    return write_example(tmp_path_factory.mktemp("example") / "data")


@pytest.fixture
def alone() -> Iterator[Processes]:
    """A training's only process."""
    with init_distributed() as processes:
        yield processes
