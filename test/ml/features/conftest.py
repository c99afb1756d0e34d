"""Fixtures of the tests that run the features job: Ray, beside the PostgreSQL of all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import ray


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """Address of a Ray on this machine."""
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # stay on loopback
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100_000_000,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture
def url(database_url: str, ray_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of PostgreSQL; the environment is that of a features job."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("RAY_ADDRESS", ray_address)
    return database_url
