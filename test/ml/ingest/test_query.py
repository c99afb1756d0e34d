from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from shelfcast.contracts.specs import IngestSpec
from shelfcast.contracts.wire import decode
from shelfcast.ingest import reading_session
from shelfcast.ingest.__main__ import run
from shelfcast.ingest.column_search import search_for
from shelfcast.ingest.csv_file import parse_csv
from shelfcast.ingest.query import read_query
from shelfcast.job import UserError
from shelfcast.snapshot import read_extras, read_sales, read_store_weeks

VARIABLE = "SALES_DATABASE_URL"
SALES = "select shop as store, department as dept, ended as week, usd as sales from shop.receipt"


@pytest.fixture(autouse=True)
def shop(
    connection: psycopg.Connection, database_url: str, reader_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's own tables, in types of their own."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv(VARIABLE, reader_url)
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


def test_events_come_from_a_query_and_no_row_cancels_them(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    connection.execute(
        "create table if not exists shop.fair as select 'fair' as name, date '2020-01-08' as day, 2 as shop"
    )

    def load(request_id: str, events: str | None) -> tuple[list[str], dict[str, list[str]]]:
        directory = tmp_path / request_id
        directory.mkdir()
        queries = {"sales": SALES, "storeWeeks": None, "events": events}
        result = run(spec("query_events", request_id, **queries), directory)
        rows = read_extras(connection, "query_events", result.snapshot.batch_id).to_pylist()
        weeks = [
            f"{row['store']} {row['week']}" for row in rows if (row["name"], row["value"]) == ("holiday", 1)
        ]
        return weeks, {rule.name: rule.examples for rule in result.quality.rules}

    events = "select name, day as date, shop as store from shop.fair"
    assert load("first", events)[0] == ["2 2020-01-10"]
    assert load("kept", None)[0] == ["2 2020-01-10"]
    weeks, examples = load("cancelled", f"{events} where false")
    assert weeks == []
    assert examples["events-empty"] == ["the list of events has no row: the 1 earlier ones are cancelled"]


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
    run(spec("query_stores"), tmp_path)
    later = spec("query_stores", "query-stores-2", stores=None, storeWeeks=None)
    assert run(later, tmp_path).unchanged_rows == 30


def test_a_bad_cell_is_named_by_its_query(tmp_path: Path) -> None:
    sales = (
        "select shop as store, 1 as dept, ended + (case ended when '2020-01-03' then time '09:00' "
        "else time '00:00' end) as week, usd as sales, holiday from shop.receipt order by ended"
    )
    with pytest.raises(UserError, match=r"query of sales:2 '2020-01-03 09:00:00': week must be a real date"):
        run(spec("query_bad", sales=sales), tmp_path)


@pytest.fixture
def strong_role(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A superuser's address that passes: what is refused then, is refused because of the query."""
    monkeypatch.setenv(VARIABLE, database_url)
    monkeypatch.setattr(reading_session, "_POWERFUL_ROLE", "select 1 where false")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("select nothing from shop.receipt", 'refuses the query of sales: column "nothing" does not'),
        (
            "selct 1 as a",
            r'refuses the query of sales: syntax error at or near "selct"\nLINE 1: selct 1 as a\n',
        ),
        (
            "delete from shop.receipt returning shop as a",
            "must be one SELECT that only reads; PostgreSQL says",
        ),
        (
            "with gone as (delete from shop.receipt returning shop as a) select a from gone",
            "must be one SELECT that only reads; .*data-modifying statements in WITH",
        ),
        ("select shop as a into shop.other from shop.receipt", "must be one SELECT .*INTO is not allowed"),
        ("select shop as a from shop.receipt for update", "cannot execute SELECT FOR UPDATE in a read-only"),
        ("explain analyze select 1 as a", 'must be one SELECT .*"explain"'),
        ("show datestyle", 'must be one SELECT .*"show"'),
        ("commit", 'must be one SELECT .*"commit"'),
        ("set transaction read write", 'must be one SELECT .*"set"'),
        ("do $$ begin drop schema shop cascade; end $$", 'must be one SELECT .*"do"'),
        ("-- nothing", "must be one SELECT .*end of input"),
        ("select 1 as a; drop schema shop cascade", "cannot insert multiple commands"),
        ("commit; drop schema shop cascade; select 1 as a", "cannot insert multiple commands"),
        (
            "select 1) to stdout; commit; begin read write; drop schema shop cascade; commit; copy (select 1",
            "PostgreSQL refuses the query of sales: syntax error",
        ),
        (
            "select set_config('transaction_read_only', 'off', true) as a",
            "read-write mode must be set before any query",
        ),
        ("select lo_from_bytea(0, 'a') as a", "in a read-only transaction"),
        ("select $1::int as a", r"has parameters like \$1"),
    ],
)
@pytest.mark.usefixtures("strong_role")
def test_a_query_can_only_read(connection: psycopg.Connection, query: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        read_query(VARIABLE, "sales", query, search_for("a"))
    assert raised.value.type == "BadData"
    assert connection.execute("select count(*) from shop.receipt").fetchone() == (30,)
    assert connection.execute("select to_regclass('shop.other')").fetchone() == (None,)


@pytest.mark.parametrize(
    "query", ["copy (select 1 as a) to program '{}'", "select 'x') to program '{}'; copy (select 1 as a"]
)
@pytest.mark.usefixtures("strong_role")
def test_a_query_starts_no_program(connection: psycopg.Connection, query: str) -> None:
    folder = connection.execute("show data_directory").fetchone()
    assert folder is not None
    file = Path(folder[0]) / "started-by-a-query"
    with pytest.raises(UserError, match="query of sales") as raised:
        read_query(VARIABLE, "sales", query.format(f"touch {file}"), search_for("a"))
    assert raised.value.type == "BadData"
    assert not file.exists()


@pytest.mark.parametrize(
    "query",
    [
        "select 1 as a, 2 as b; -- the end",
        "with x as (values (1, 2)) select column1 as a, column2 as b from x -- the end",
        "/* first */ (select 1 as a, 2 as b) union select 1, 2;\n",
    ],
)
def test_a_select_may_be_written_in_any_way(query: str) -> None:
    assert cells(query, "a", "b") == {"a": ["1"], "b": ["2"]}


def cells(query: str, *names: str) -> dict[str, list[str]]:
    columns = read_query(VARIABLE, "sales", query, search_for(*names)).columns
    return {name: column.to_pylist() for name, column in columns.items()}


def test_values_are_as_postgresql_writes_them_as_csv(connection: psycopg.Connection) -> None:
    query = (
        "select 1::smallint as a, 12345678901234567890.50 as b, 0.1::float8 + 0.2::float8 as c, "
        "1e-7::real as d, true as e, null::date as f, date '2020-01-03' as g, '' as h, "
        "' say \"hi\", all ' as i, "
        "timestamp '2020-01-03 04:05:06.7' as j, 'NaN'::float8 as k, interval '1 day 2 hours' as l "
        "union all select 2, -0.10, 'Infinity', null, false, 'infinity', '0001-01-01 BC', 'NA', 'é', "
        "'infinity', -0.0, null order by 1"
    )
    with connection.cursor() as cursor, cursor.copy(f"copy ({query}) to stdout (format csv, header)") as copy:
        expected = parse_csv("csv", b"".join(copy), search_for(*"abcdefghijkl"))
    read = read_query(VARIABLE, "sales", query, search_for(*"abcdefghijk", optional=("l", "m")))
    assert read.columns == expected.columns
    assert read.columns["c"].to_pylist() == ["0.30000000000000004", "Infinity"]
    assert read.lines.tolist() == expected.lines.tolist() == [2, 3]


def test_a_cell_may_have_several_lines() -> None:
    assert cells(r"select E'two\nlines' as a, 1 as b, 2 as c", "a", "b") == {"a": ["two\nlines"], "b": ["1"]}


def test_a_result_without_a_wanted_column_or_rows_is_refused() -> None:
    with pytest.raises(UserError, match=r"^query of sales: no column b; the header is a and must have a,b$"):
        read_query(VARIABLE, "sales", "select pg_sleep(600) as a", search_for("a", "b"))
    with pytest.raises(UserError, match=r"^the query of sales returns no rows$"):
        read_query(VARIABLE, "sales", "select 1 as a where false", search_for("a"))


def test_values_do_not_depend_on_the_server(connection: psycopg.Connection) -> None:
    for setting in (
        "datestyle = 'SQL, DMY'",
        "intervalstyle = 'sql_standard'",
        "extra_float_digits = -5",
        "client_encoding = 'LATIN1'",
    ):
        connection.execute(f"alter role shelfcast_reader set {setting}")
    query = (
        "select date '2020-03-01' as a, interval '1 day 2 hours' as b, "
        "0.1::float8 + 0.2::float8 as c, '€' as d"
    )
    assert cells(query, "a", "b", "c", "d") == {
        "a": ["2020-03-01"],
        "b": ["1 day 02:00:00"],
        "c": ["0.30000000000000004"],
        "d": ["€"],
    }
    with pytest.raises(UserError, match="date/time field value out of range"):
        read_query(VARIABLE, "sales", "select '01/03/2020'::date as a", search_for("a"))


def test_the_time_zone_is_that_of_the_address_or_the_role_or_utc(
    connection: psycopg.Connection, reader_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = "select current_setting('timezone') as a"
    connection.execute("alter database shelfcast set timezone = 'Europe/Berlin'")
    try:
        assert cells(zone, "a") == {"a": ["UTC"]}
    finally:
        connection.execute("alter database shelfcast reset timezone")
    connection.execute("alter role shelfcast_reader set timezone = 'Asia/Kolkata'")
    assert cells(zone, "a") == {"a": ["Asia/Kolkata"]}
    monkeypatch.setenv(VARIABLE, make_conninfo(reader_url, options="-c timezone=America/Lima"))
    assert cells(zone, "a") == {"a": ["America/Lima"]}


def test_a_timestamp_with_time_zone_has_no_day_of_its_own() -> None:
    sold_at = "select timestamptz '2020-01-03 00:00 Europe/Berlin' as {} from shop.receipt limit 1"
    with pytest.raises(UserError, match=r"week as a timestamp with time zone.*at time zone") as raised:
        read_query(VARIABLE, "sales", sold_at.format("week"), search_for("week"))
    assert raised.value.type == "BadData"
    named = f"select (week at time zone 'Europe/Berlin')::date as week from ({sold_at.format('week')}) as x"
    assert cells(named, "week") == {"week": ["2020-01-03"]}
    assert read_query(
        VARIABLE, "sales", f"select *, 1 as a from ({sold_at.format('other')}) as x", search_for("a")
    )


@pytest.mark.parametrize(
    ("encoding", "message"), [("LATIN1", None), ("SQL_ASCII", "for encoding .UTF8.: 0xe9")]
)
def test_a_database_in_another_encoding(
    connection: psycopg.Connection,
    reader_url: str,
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    message: str | None,
) -> None:
    connection.execute(f"create database old encoding '{encoding}' template template0 locale 'C'")
    try:
        monkeypatch.setenv(VARIABLE, make_conninfo(reader_url, dbname="old"))
        query = "select chr(233) as a"
        if message is None:
            assert cells(query, "a") == {"a": ["é"]}
        else:
            with pytest.raises(UserError, match=message):
                read_query(VARIABLE, "sales", query, search_for("a"))
    finally:
        connection.execute("drop database old")


def test_columns_that_nobody_reads_take_no_memory() -> None:
    program = (
        "import resource\n"
        "from shelfcast.ingest.column_search import search_for\n"
        "from shelfcast.ingest.query import read_query\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "before = peak()\n"
        "query = \"select g as a, repeat('x', 2000) as b from generate_series(1, 100000) g\"\n"
        f"file = read_query('{VARIABLE}', 'sales', query, search_for('a'))\n"
        "assert file.columns['a'].to_pylist() == [str(n) for n in range(1, 100001)]\n"
        "print(file.lines[-1], peak() - before)\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    last_line, megabytes = answer.stdout.split()
    assert last_line == "100001"
    assert int(megabytes) < 150


def test_a_query_beyond_the_time_limit(connection: psycopg.Connection) -> None:
    connection.execute("alter role shelfcast_reader set statement_timeout = '50ms'")
    with pytest.raises(
        UserError, match=r"cancels the query of sales: .*statement_timeout of the user of SALES"
    ):
        read_query(VARIABLE, "sales", "select pg_sleep(30) as a", search_for("a"))


def test_a_server_that_ends_the_session_is_asked_again() -> None:
    with pytest.raises(ConnectionError, match="the query of sales got no answer"):
        read_query(VARIABLE, "sales", "select pg_terminate_backend(pg_backend_pid()) as a", search_for("a"))
