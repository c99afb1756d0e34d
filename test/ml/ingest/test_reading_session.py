from __future__ import annotations

import socket
import traceback
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from shelfcast.database import connect, is_transient
from shelfcast.ingest.reading_session import reading_session
from shelfcast.job import UserError

VARIABLE = "SALES_DATABASE_URL"


@pytest.fixture(autouse=True)
def address(reader_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, reader_url)


def ask(query: str) -> Any:
    with reading_session(VARIABLE) as session:
        return session.execute(query.encode()).fetchone()


def test_the_transaction_is_read_only() -> None:
    assert ask("show transaction_read_only") == ("on",)


def test_a_superuser_is_refused(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, database_url)
    superuser = conninfo_to_dict(database_url)["user"]
    sentence = (
        f"^the role of {VARIABLE} is or may become {superuser}, which can do more than read; "
        "use a role of its own: create role shelfcast_reader"
    )
    with pytest.raises(UserError, match=sentence) as raised:
        ask("select 1")
    assert raised.value.type == "InvalidInput"
    monkeypatch.setenv(VARIABLE, make_conninfo(database_url, options="-c role=shelfcast_reader"))
    with pytest.raises(UserError, match=sentence):
        ask("select 1")


@pytest.mark.parametrize(
    "role",
    [
        "pg_execute_server_program",
        "pg_read_server_files",
        "pg_write_server_files",
        "pg_signal_backend",
        "superuser",
    ],
)
def test_a_member_of_a_powerful_role_is_refused(
    connection: psycopg.Connection, database_url: str, role: str
) -> None:
    name = conninfo_to_dict(database_url)["user"] if role == "superuser" else role
    connection.execute("create role between_them noinherit")
    connection.execute(f"grant {name} to between_them")
    try:
        connection.execute("grant between_them to shelfcast_reader")
        with pytest.raises(UserError, match=f"is or may become {name}, which can do more than read"):
            ask("select 1")
    finally:
        connection.execute("drop role between_them")
    assert ask("select 1") == (1,)


def test_the_options_of_the_address_count(reader_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = "-c search_path=shop -c statement_timeout=12345"
    monkeypatch.setenv(VARIABLE, make_conninfo(reader_url, options=options))
    assert ask("select current_schema(), current_setting('statement_timeout')") == ("shop", "12345ms")


def test_the_next_host_answers_for_one_that_is_away(reader_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = conninfo_to_dict(reader_url)
    hosts = {"host": f"127.0.0.1,{given['host']}", "port": f"1,{given['port']}"}
    monkeypatch.setenv(VARIABLE, make_conninfo(reader_url, **hosts, target_session_attrs="read-write"))
    assert ask("select 1") == (1,)


@pytest.mark.parametrize(
    ("address", "environment", "timeout"),
    [
        ("postgresql://a:b@first,second:6432/c?sslmode=verify-full&sslrootcert=/ca.pem", {}, 10),
        ("service=sales sslmode=require", {}, 10),
        ("postgresql://a:b@c/d?connect_timeout=25", {}, None),
        ("postgresql://a:b@c/d", {"PGCONNECT_TIMEOUT": "25"}, None),
    ],
)
def test_libpq_gets_the_address_as_it_is(
    monkeypatch: pytest.MonkeyPatch, address: str, environment: dict[str, str], timeout: int | None
) -> None:
    calls = []

    def refuse(*given: Any, **more: Any) -> None:
        calls.append((given, more))
        raise psycopg.OperationalError("connection failed: seen")

    monkeypatch.setattr(psycopg, "connect", refuse)
    monkeypatch.setenv(VARIABLE, address)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConnectionError, match=f"^no answer from the database of {VARIABLE}: seen$"):
        ask("select 1")
    assert calls == [((address,), {"connect_timeout": timeout})]


@contextmanager
def listener() -> Iterator[tuple[int, Future[bytes]]]:
    """Takes one connection, and gives its first bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def first_bytes() -> bytes:
            with server.accept()[0] as client:
                return client.recv(4096)

        yield server.getsockname()[1], pool.submit(first_bytes)


def test_a_pooler_gets_no_startup_parameters_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as (port, received):
        monkeypatch.setenv(
            VARIABLE, f"postgresql://me:secret@127.0.0.1:{port}/sales?sslmode=disable&gssencmode=disable"
        )
        with pytest.raises(ConnectionError, match="server closed the connection unexpectedly"):
            ask("select 1")
        assert received.result(10)[8:] == b"user\0me\0database\0sales\0\0"


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:sec@cret@127.0.0.1:1/none",
        "postgresql://me:sec/cret@127.0.0.1:1/none",
        "postgresql://me:12/cret@127.0.0.1:1/none",
        "postgresql://me:%cret@127.0.0.1:1/none",
        "postgresql://me:cret@127.0.0.1:x/none",
        "postgresql://me:cret@127.0.0.1:1/none?sslmode=cret",
        "postgresql://me:cret@127.0.0.1:1/none?connect_timeout=cret",
        "host=127.0.0.1 password=sec cret",
        "host=127.0.0.1 port=1 password='cret",
        "service=cret",
        "cret",
    ],
)
def test_an_address_that_cannot_be_used_is_not_quoted(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(UserError, match=rf"^source\.addressVariable: {VARIABLE} holds no address") as raised:
        ask("select 1")
    assert raised.value.type == "InvalidInput"
    assert "cret" not in "".join(traceback.format_exception(raised.value)).replace("secret", "")


def test_the_address_is_not_part_of_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(UserError, match=r"source\.addressVariable: SALES_DATABASE_URL is not set") as raised:
        ask("select 1")
    assert raised.value.type == "InvalidInput"
    for hosts in ("127.0.0.1:1", "127.0.0.1:1,127.0.0.1:2", "no-such-host.invalid:1"):
        monkeypatch.setenv(VARIABLE, f"postgresql://me:word@{hosts}/none")
        with pytest.raises(
            ConnectionError, match=rf"database of {VARIABLE}: (Connection ref|\[Errno)"
        ) as failed:
            ask("select 1")
        trace = "".join(traceback.format_exception(failed.value))
        assert not [part for part in ("word", "127.0.0.1", ".invalid", "none") if part in trace]


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"password": "wrong"}, "password authentication failed"),
        ({"password": ""}, "no password supplied"),
        ({"dbname": "nowhere"}, 'database "nowhere" does not exist'),
        ({"sslmode": "require"}, "server does not support SSL, but SSL was required"),
        ({"sslmode": "verify-full", "sslrootcert": "/no/ca.pem"}, "(root certificate|SSL was required)"),
    ],
)
def test_a_refused_connection_is_an_answer(
    database_url: str, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], answer: str
) -> None:
    address = make_conninfo(database_url, **change)
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(UserError, match=f"refuses the connection of {VARIABLE}: .*{answer}") as raised:
        ask("select 1")
    assert raised.value.type == "InvalidInput"
    with (
        pytest.raises(UserError, match=f"refuses the connection of DATABASE_URL: .*{answer}"),
        connect(url_of(address)),
    ):
        pass


def url_of(address: str) -> str:
    """The same address as a URL, the only form that DATABASE_URL may have."""
    parts = conninfo_to_dict(address)
    user, password, host, port, dbname = (
        quote(str(parts.pop(name))) for name in ("user", "password", "host", "port", "dbname")
    )
    return f"postgresql://{user}:{password}@{host}:{port}/{dbname}?{urlencode(parts)}".removesuffix("?")


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (psycopg.OperationalError("the server closed the connection unexpectedly"), True),
        (psycopg.errors.CannotConnectNow("starting up"), True),
        (psycopg.errors.TooManyConnections("too many clients"), True),
        (psycopg.errors.SerializationFailure("conflict with recovery"), True),
        (psycopg.errors.ConnectionFailure("lost"), True),
        (psycopg.errors.InvalidPassword("wrong"), False),
        (psycopg.errors.QueryCanceled("statement timeout"), False),
        (psycopg.errors.IoError("bad block"), False),
        (psycopg.OperationalError("FATAL:  unsupported startup parameter: options"), False),
    ],
)
def test_which_errors_another_try_may_mend(error: psycopg.OperationalError, transient: bool) -> None:
    assert is_transient(error) == transient
