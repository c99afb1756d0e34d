"""A connection, and a way to run the job in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

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
def reader_url(connection: psycopg.Connection, database_url: str) -> Iterator[str]:
    """Address of a new role that can read the tables of the schema ``shop``, as docs/data.md shows it."""
    connection.execute("create schema if not exists shop")
    connection.execute("create role shelfcast_reader login password 'secret'")
    connection.execute("grant usage on schema shop to shelfcast_reader")
    connection.execute("alter default privileges in schema shop grant select on tables to shelfcast_reader")
    connection.execute("grant select on all tables in schema shop to shelfcast_reader")
    yield make_conninfo(database_url, user="shelfcast_reader", password="secret")
    connection.execute("drop owned by shelfcast_reader")
    connection.execute("drop role shelfcast_reader")


@pytest.fixture
def ingest(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Ingest:
    """Runs a load of a folder, each in a job folder of its own, and returns its result."""
    monkeypatch.setenv("DATABASE_URL", database_url)

    def load(
        dataset: str,
        request_id: str,
        folder: Path,
        max_bad_row_share: float = 0,
        allow: tuple[str, ...] = (),
        acknowledge: str | None = None,
        kind: str = "walmart-csv",
    ) -> dict[str, Any]:
        spec = {
            "dataset": dataset,
            "requestId": request_id,
            "source": {"kind": kind, "path": str(folder)},
            "maxBadRowShare": max_bad_row_share,
            "allow": list(allow),
            **({} if acknowledge is None else {"acknowledge": acknowledge}),
        }
        return encode(run(decode(IngestSpec, spec, "spec"), tmp_path_factory.mktemp("job")))  # type: ignore[no-any-return]

    return load
