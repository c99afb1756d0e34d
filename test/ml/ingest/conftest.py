"""A connection, and a way to run the job in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shelfcast.contracts.specs import IngestSpec
from shelfcast.contracts.wire import decode, encode
from shelfcast.database import connect
from shelfcast.ingest.__main__ import run

Ingest = Callable[..., dict[str, Any]]


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection that sees what others committed."""
    with connect(database_url) as connection:
        connection.autocommit = True
        yield connection


@pytest.fixture
def ingest(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Ingest:
    """Runs a load of a folder, each in a job folder of its own, and returns its result."""
    monkeypatch.setenv("DATABASE_URL", database_url)

    def load(
        dataset: str, request_id: str, folder: Path, max_bad_row_share: float = 0, allow: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        spec = {
            "dataset": dataset,
            "requestId": request_id,
            "source": {"kind": "walmart-csv", "path": str(folder)},
            "maxBadRowShare": max_bad_row_share,
            "allow": list(allow),
        }
        return encode(run(decode(IngestSpec, spec, "spec"), tmp_path_factory.mktemp("job")))  # type: ignore[no-any-return]

    return load
