from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from shelfcast.contracts.specs import IngestSpec
from shelfcast.contracts.wire import decode
from shelfcast.database import connect, is_transient
from shelfcast.ingest.__main__ import run
from shelfcast.ingest.query import read_query
from shelfcast.job import UserError
from shelfcast.snapshot import read_extras, read_sales, read_store_weeks

VARIABLE = "SALES_DATABASE_URL"


@pytest.fixture(autouse=True)
def shop(connection: psycopg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's own tables, in types of their own."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv(VARIABLE, database_url)
    connection.execute("create schema if not exists shop")
    connection.execute(
        "create table if not exists shop.receipt as select s::smallint as shop, d::bigint as department, "
        "date '2020-01-03' + 7 * w as ended, (s * d + 0.25)::numeric(12, 2) as usd, w = 2 as holiday "
        "from generate_series(1, 2) s, generate_series(1, 3) d, generate_series(0, 4) w"
    )


def spec(dataset: str, request_id: str | None = None, **changes: Any) -> IngestSpec:
    source = {
        "kind": "postgres",
        "addressVariable": VARIABLE,
        "sales": "select shop as store, department as dept, ended as week, usd as sales, holiday "
        "from shop.receipt;\n",
        "storeWeeks": "select distinct shop as store, ended as week, holiday, null::real as cpi "
        "from shop.receipt",
        "stores": "select shop as store, 'B' as type, 5000 as size from shop.receipt group by 1",
        **changes,
    }
    given = {key: value for key, value in source.items() if value is not None}
    fields = {"dataset": dataset, "requestId": request_id or dataset, "source": given, "maxBadRowShare": 0}
    return decode(IngestSpec, fields, "spec")


def test_queries_are_loaded(connection: psycopg.Connection, tmp_path: Path) -> None:
    result = run(spec("query_good"), tmp_path)
    batch_id = result.snapshot.batch_id
    sales = read_sales(connection, "query_good", batch_id)
    assert sales["weekly_sales"].to_pylist()[::5] == [1.25, 2.25, 3.25, 2.25, 4.25, 6.25]
    assert sales["is_holiday"].to_pylist() == [False, False, True, False, False] * 6
    assert read_store_weeks(connection, "query_good", batch_id)["cpi"].null_count == 10


def test_covariates_come_from_queries(connection: psycopg.Connection, tmp_path: Path) -> None:
    columns = [
        {"name": "receipts", "of": "series_week", "knownAfterWeeks": 0, "description": "how many"},
        {"name": "promo", "of": "series_week", "knownAfterWeeks": -1, "description": "planned"},
        {"name": "floor", "of": "store", "description": "floors"},
    ]
    queries = {
        "sales": "select shop as store, department as dept, ended as week, usd as sales, 3 as receipts "
        "from shop.receipt",
        "storeWeeks": None,
        "seriesWeeks": "select shop as store, department as dept, ended + 7 as week, "
        "nullif(department, 2) as promo from shop.receipt",
        "stores": "select shop as store, 'B' as type, 5000 as size, shop + 0.5 as floor "
        "from shop.receipt group by 1",
    }
    result = run(spec("query_columns", columns=columns, **queries), tmp_path)
    rows = read_extras(connection, "query_columns", result.snapshot.batch_id).to_pylist()
    values = {(row["name"], row["store"], row["dept"], str(row["week"])): row["value"] for row in rows}
    assert len(values) == 30 + 30 + 2
    assert values["floor", 2, 0, "None"] == 2.5
    assert values["promo", 1, 3, "2020-02-07"] == 3
    assert values["promo", 1, 2, "2020-02-07"] is None
    assert values["receipts", 1, 2, "2020-01-31"] == 3

    later = spec("query_columns", "query-columns-2", columns=[{**columns[2], "name": "store"}], **queries)
    with pytest.raises(UserError, match=r"^source\.columns, entry 1: name store is reserved") as raised:
        run(later, tmp_path)
    assert raised.value.type == "InvalidInput"


def test_stores_of_an_earlier_load_suffice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown-store: 2 break the rule"):
        run(spec("query_stores", stores=None), tmp_path)
    run(spec("query_stores"), tmp_path)
    later = spec("query_stores", "query-stores-2", stores=None, storeWeeks=None)
    assert run(later, tmp_path).unchanged_rows == 30


def test_a_bad_cell_is_named_by_its_query(tmp_path: Path) -> None:
    sales = (
        "select shop as store, 1 as dept, ended + time '09:00' as week, usd as sales, holiday "
        "from shop.receipt"
    )
    with pytest.raises(UserError, match=r"query of sales:2 '2020-01-03 09:00:00': week must be a real date"):
        run(spec("query_bad", sales=sales), tmp_path)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "select nothing from shop.receipt",
            'PostgreSQL refuses the query of sales: column "nothing" does not',
        ),
        ("delete from shop.receipt returning shop", "cannot execute DELETE in a read-only transaction"),
        ("select 1) to stdout; drop schema shop cascade; --", "PostgreSQL refuses the query of sales"),
    ],
)
def test_a_refused_query(connection: psycopg.Connection, query: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        read_query(VARIABLE, "sales", query)
    assert raised.value.type == "BadData"
    assert connection.execute("select count(*) from shop.receipt").fetchone() == (30,)


def test_the_address_is_not_part_of_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(UserError, match=r"source\.addressVariable: SALES_DATABASE_URL is not set") as raised:
        read_query(VARIABLE, "sales", "select 1")
    assert raised.value.type == "InvalidInput"
    monkeypatch.setenv(VARIABLE, "postgresql://me:secret@127.0.0.1:1/none")
    with pytest.raises(ConnectionError, match="from the database of SALES_DATABASE_URL") as failed:
        read_query(VARIABLE, "sales", "select 1")
    assert "secret" not in str(failed.value)


def test_a_query_beyond_the_time_limit(
    connection: psycopg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute("create role hurried login password 'secret'")
    connection.execute("alter role hurried set statement_timeout = '50ms'")
    monkeypatch.setenv(VARIABLE, make_conninfo(database_url, user="hurried", password="secret"))
    with pytest.raises(
        UserError, match=r"cancels the query of sales: .*statement_timeout of the user of SALES"
    ):
        read_query(VARIABLE, "sales", "select pg_sleep(30)")


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"password": "wrong"}, "password authentication failed"),
        ({"password": ""}, "no password supplied"),
        ({"dbname": "nowhere"}, 'database "nowhere" does not exist'),
    ],
)
def test_a_refused_connection_is_an_answer(
    database_url: str, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], answer: str
) -> None:
    address = make_conninfo(database_url, **change)
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(UserError, match=f"refuses the connection of {VARIABLE}: .*{answer}") as raised:
        read_query(VARIABLE, "sales", "select 1")
    assert raised.value.type == "InvalidInput"
    with (
        pytest.raises(UserError, match=f"refuses the connection of DATABASE_URL: .*{answer}"),
        connect(address),
    ):
        pass


def test_a_server_that_ends_the_session_is_asked_again() -> None:
    with pytest.raises(ConnectionError, match="the query of sales got no answer"):
        read_query(VARIABLE, "sales", "select pg_terminate_backend(pg_backend_pid())")


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
    ],
)
def test_which_errors_another_try_may_mend(error: psycopg.OperationalError, transient: bool) -> None:
    assert is_transient(error) == transient
