from __future__ import annotations

import socket
from pathlib import Path

import long_files
import object_server
import pytest

from shelfcast.contracts.specs import LongSource
from shelfcast.ingest.location import read_object, split_file
from shelfcast.ingest.long_source import read_long_folder, read_long_source
from shelfcast.job import UserError
from shelfcast.snapshot import empty_tables

NOTHING = empty_tables()
KINDS = [
    "http://{}/bucket/sales",
    "http://{}/bucket/sales/?key=secret",
    "s3://bucket/sales?scheme=http&endpoint_override={}",
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


@pytest.mark.parametrize("url", KINDS)
def test_a_folder_behind_a_url_is_as_one_here(tmp_path: Path, url: str) -> None:
    lines = long_files.rows()
    del lines["store_weeks"]
    folder = long_files.write(tmp_path / "bucket" / "sales", lines)
    here = read_long_folder(str(folder), "utf-8", NOTHING)
    with object_server.serve(tmp_path) as address:
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
    with object_server.serve(tmp_path) as address:
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
    with object_server.serve(tmp_path) as address:
        assert read_object(url.format(address), "sales.csv") is None
    assert read_object(str(tmp_path), "sales.csv") is None


@pytest.mark.parametrize("url", KINDS)
def test_a_refusal_is_the_user_s_and_does_not_tell_keys(tmp_path: Path, url: str) -> None:
    with (
        object_server.serve(tmp_path, 403) as address,
        pytest.raises(UserError, match=r"cannot read .*sales\.csv: ") as raised,
    ):
        read_object(url.format(address), "sales.csv")
    assert raised.value.type == "BadData"
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", KINDS[:2])
def test_a_failure_of_the_server_is_worth_another_try(tmp_path: Path, url: str) -> None:
    with object_server.serve(tmp_path, 503) as address, pytest.raises(ConnectionError, match="answers 503"):
        read_object(url.format(address), "sales.csv")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=r"cannot read .*sales\.csv") as raised:
            read_object(url.format(address), "sales.csv")
    assert "secret" not in str(raised.value)
