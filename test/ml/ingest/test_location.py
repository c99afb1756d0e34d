from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import long_files
import object_server
import pytest

from shelfcast.contracts.specs import LongSource
from shelfcast.ingest.location import Folder, read_object, split_file
from shelfcast.ingest.long_source import read_long_folder, read_long_source
from shelfcast.job import UserError
from shelfcast.snapshot import empty_tables

NOTHING = empty_tables()
KINDS = [
    "http://{}/bucket/sales",
    "http://{}/bucket/sales/?key=secret",
    "s3://bucket/sales",
]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ACCESS_KEY_ID": "any",
        "SECRET_ACCESS_KEY": "any",
        "EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@contextmanager
def serve(
    folder: Path, status: int = 200, *, lists: bool = False, log: list[str] | None = None
) -> Iterator[str]:
    """Serves the folder like ``object_server``, also as the object store of the environment."""
    with (
        object_server.serve(folder, status, lists=lists, log=log) as address,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("AWS_ENDPOINT_URL_S3", f"http://{address}")
        yield address


@pytest.mark.parametrize("url", KINDS)
def test_a_folder_behind_a_url_is_as_one_here(tmp_path: Path, url: str) -> None:
    lines = long_files.rows()
    del lines["store_weeks"]
    folder = long_files.write(tmp_path / "bucket" / "sales", lines)
    here = read_long_folder(str(folder), "utf-8", NOTHING)
    with serve(tmp_path) as address:
        there = read_long_folder(url.format(address), "utf-8", NOTHING)
    assert there.tables == here.tables
    assert len(there.tables["sales"]) == 24


@pytest.mark.parametrize("url", KINDS)
@pytest.mark.parametrize("name", ["sales.csv", "WEEK7.CSV"])
def test_a_file_behind_a_url_is_its_sales(tmp_path: Path, url: str, name: str) -> None:
    lines = long_files.rows()
    folder = long_files.write(tmp_path / "bucket" / "sales", {"sales": lines["sales"]})
    here = read_long_folder(str(folder), "utf-8", NOTHING)
    (folder / "sales.csv").rename(folder / name)
    (folder / "columns.json").write_text("of the folder, not of the file")
    with serve(tmp_path) as address:
        path, _, query = url.format(address).partition("?")
        file = f"{path.rstrip('/')}/{name}?{query}"
        assert read_long_source(LongSource(path=file), NOTHING).tables == here.tables
        other = LongSource(path=file.replace("/sales/", "/none/"))
        with pytest.raises(UserError, match=r"^there is no file [^?]*/bucket/none/[^?]*$"):
            read_long_source(other, NOTHING)
    assert read_long_source(LongSource(path=str(folder / name)), NOTHING).tables == here.tables


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/data/week.csv", ("/data", "week.csv")),
        ("/week.parquet", ("/", "week.parquet")),
        ("/data/week.csv/", None),
        ("/data/csv", None),
        ("s3://bucket/week.csv", ("s3://bucket", "week.csv")),
        ("https://host/a/week.CSV?key=v", ("https://host/a?key=v", "week.CSV")),
        ("https://host/a?file=week.csv", None),
    ],
)
def test_a_path_that_is_a_file_s(path: str, parts: tuple[str, str] | None) -> None:
    assert split_file(path) == parts


@pytest.mark.parametrize("url", KINDS)
def test_what_is_not_there_is_none(tmp_path: Path, url: str) -> None:
    with serve(tmp_path) as address:
        assert read_object(url.format(address), "sales.csv") is None
    assert read_object(str(tmp_path), "sales.csv") is None


@pytest.mark.parametrize("url", KINDS)
def test_a_refusal_is_the_user_s_and_does_not_tell_keys(tmp_path: Path, url: str) -> None:
    with (
        serve(tmp_path, 403) as address,
        pytest.raises(UserError, match=r"cannot read .*sales\.csv: ") as raised,
    ):
        read_object(url.format(address), "sales.csv")
    assert raised.value.type == "BadData"
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", KINDS[:2])
def test_a_failure_of_the_server_is_worth_another_try(tmp_path: Path, url: str) -> None:
    with serve(tmp_path, 503) as address, pytest.raises(ConnectionError, match="answers 503"):
        read_object(url.format(address), "sales.csv")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=r"cannot read .*sales\.csv") as raised:
            read_object(url.format(address), "sales.csv")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", KINDS[1:])
def test_a_folder_that_is_listed_costs_one_request_more_than_its_files(tmp_path: Path, url: str) -> None:
    folder = long_files.write(tmp_path / "bucket" / "sales", long_files.rows())
    here = read_long_folder(str(folder), "utf-8", NOTHING)
    (folder / "sales.csv").rename(folder / "SALES.CSV")
    (folder / "stores.csv").rename(folder / "Stores.Csv")
    (folder / "store_weeks.csv").rename(folder / "store_weeks.CSV")
    log: list[str] = []
    with serve(tmp_path, lists=True, log=log) as address:
        assert read_long_folder(url.format(address), "utf-8", NOTHING).tables == here.tables
    # Arrow asks for the size of an object first.
    files = [request.split("?")[0].split("/bucket")[1] for request in log if request.startswith("GET")]
    assert sorted(files[1:]) == ["/sales/SALES.CSV", "/sales/Stores.Csv", "/sales/store_weeks.CSV"]


def test_a_page_that_is_no_list_hides_no_file(tmp_path: Path) -> None:
    folder = long_files.write(tmp_path / "sales", long_files.rows())
    (folder / "index.html").write_text('<title>Sales</title><a href="sales.csv">')
    log: list[str] = []
    with serve(tmp_path, log=log) as address:
        rows = read_long_folder(f"http://{address}/sales", "utf-8", NOTHING)
    assert len(rows.tables["sales"]) == 24
    assert "GET /sales/store_weeks.csv" in log


@pytest.mark.parametrize("name", ["SALES.CSV", "Sales.csv.gz", "sales.parquet"])
def test_two_files_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    folder = long_files.write(tmp_path, long_files.rows())
    (folder / name).write_text("store,dept,week,sales")
    with pytest.raises(UserError, match=r"has both .* and .*; keep one of them") as raised:
        read_long_folder(str(folder), "utf-8", NOTHING)
    assert name in str(raised.value)


def test_the_case_of_names_does_not_count(tmp_path: Path) -> None:
    long_files.write(tmp_path / "lower", long_files.rows())
    upper = long_files.write(tmp_path / "upper", long_files.rows())
    for file in list(upper.iterdir()):
        file.rename(upper / file.name.upper())
    tables = [read_long_folder(str(tmp_path / name), "utf-8", NOTHING).tables for name in ("lower", "upper")]
    assert tables[0] == tables[1]
    (upper / "Shelfcast.JSON").write_text('{"unit": "EUR"}')
    assert Folder(str(upper)).read("shelfcast.json") == b'{"unit": "EUR"}'


@pytest.mark.parametrize(
    "query",
    [
        "scheme=http&endpoint_override={}",
        "endpoint%5Foverride={}//example.org",
        "region=eu&tls_verify_certificates=false",
        "region={}/",
    ],
)
def test_a_url_names_no_object_store(tmp_path: Path, query: str) -> None:
    log: list[str] = []
    with (
        object_server.serve(tmp_path, log=log) as address,
        pytest.raises(UserError, match=r"^cannot read s3://bucket/sales\.csv: .* as AWS_ENDPOINT_URL_S3$"),
    ):
        read_object(f"s3://bucket?{query.format(address)}", "sales.csv")
    assert log == []


def test_an_address_that_is_no_url_of_an_object_store_is_not_told() -> None:
    with pytest.raises(
        UserError, match=r"^cannot read s3://bucket/my sales/sales\.csv: Arrow reads no such"
    ) as raised:
        read_object("s3://key:secret@bucket/my sales", "sales.csv")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        *("s3://AKIA:se/cr+et@bucket/sales", "s3://AKIA:7/se@bucket/sales.csv", "s3://AKIA:se#cr@bucket"),
        *("https://me:se/cret@host/sales.csv", "https://me:secret@[::1/sales.csv"),
    ],
)
def test_a_url_that_cannot_be_read_is_not_told(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("SALES_URL", url)
    with pytest.raises(UserError, match="the URL of the source cannot be read") as raised:
        read_long_source(LongSource(address_variable="SALES_URL"), NOTHING)
    assert not any(part in str(raised.value) for part in ("AKIA", "se/cr", "secret", "me:"))


def test_a_url_with_a_secret_is_in_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = long_files.write(tmp_path / "sales", long_files.rows())
    here = read_long_folder(str(folder), "utf-8", NOTHING)
    source = LongSource(address_variable="SALES_URL")
    with serve(tmp_path) as address:
        for path in ("sales?key=secret", "sales/sales.csv?key=secret"):
            monkeypatch.setenv("SALES_URL", f"http://me:secret@{address}/{path}")
            assert read_long_source(source, NOTHING).tables["sales"] == here.tables["sales"]
        monkeypatch.setenv("SALES_URL", f"http://me:secret@{address}/none?key=secret")
        with pytest.raises(
            UserError, match=rf"^http://{address}/none has no sales\.csv, sales\.parquet or sales\.xlsx"
        ):
            read_long_source(source, NOTHING)


@pytest.mark.parametrize(
    ("value", "message"),
    [(None, "is not set where jobs run"), ("postgresql://me:secret@host", "holds no URL")],
)
def test_a_variable_without_a_url(monkeypatch: pytest.MonkeyPatch, value: str | None, message: str) -> None:
    if value is not None:
        monkeypatch.setenv("SALES_URL", value)
    with pytest.raises(UserError, match=rf"^source\.addressVariable: SALES_URL {message}; it") as raised:
        read_long_source(LongSource(address_variable="SALES_URL"), NOTHING)
    assert "secret" not in str(raised.value)
