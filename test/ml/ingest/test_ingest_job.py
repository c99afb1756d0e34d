from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import long_files
import object_server
import psycopg
import pyarrow.parquet as pq
import pytest
import source_folders

from shelfcast.snapshot import read_sales


def start(
    directory: Path, database_url: str, request_id: str, source: dict[str, Any], dataset: str | None = None
) -> subprocess.Popen[str]:
    directory.mkdir()
    spec = {
        "dataset": dataset or request_id,
        "requestId": request_id,
        "source": source,
        "maxBadRowShare": 0.05,
    }
    (directory / "spec.json").write_text(json.dumps(spec))
    return subprocess.Popen(
        [sys.executable, "-m", "shelfcast.ingest", "--dir", directory.as_uri()],
        env={**os.environ, "DATABASE_URL": database_url},
        stderr=subprocess.PIPE,
        text=True,
    )


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_generated_source(connection: psycopg.Connection, database_url: str, tmp_path: Path) -> None:
    source = {"kind": "generated", "stores": 3, "departments": 4, "weeks": 60, "seed": 5}
    job = start(tmp_path / "job", database_url, "job_generated", source)
    assert (job.communicate(timeout=60)[1], job.returncode) == ("", 0)
    result = read_json(tmp_path / "job" / "result.json")
    assert (result["insertedRows"], result["snapshot"]["seriesCount"], result["badRows"]) == (720, 12, 0)
    assert result["oracleUri"] == (tmp_path / "job" / "oracle.parquet").as_uri()
    oracle = pq.read_table(tmp_path / "job" / "oracle.parquet")
    sales = read_sales(connection, "job_generated", result["snapshot"]["batchId"])
    key = ["store", "dept", "week"]
    assert oracle.column_names == [*key, "expected_sales"]
    assert oracle.select(key) == sales.select(key)
    progress = [json.loads(line) for line in (tmp_path / "job" / "progress.jsonl").read_text().splitlines()]
    assert [line["fraction"] for line in progress] == [0, 0.3, 1]


def test_bad_rows_within_the_limit(database_url: str, tmp_path: Path) -> None:
    lines = source_folders.rows()
    lines["train.csv"][4] = lines["train.csv"][4].replace("2020", "20")
    lines["stores.csv"] = [row.replace(",", ";") for row in lines["stores.csv"]]
    folder = source_folders.write(tmp_path / "folder", lines)
    job = start(tmp_path / "job", database_url, "job_bad", {"kind": "walmart-csv", "path": str(folder)})
    assert (job.communicate(timeout=60)[1], job.returncode) == ("", 0)
    result = read_json(tmp_path / "job" / "result.json")
    assert (result["insertedRows"], result["badRows"]) == (23, 1)
    rules = {rule["name"]: (rule["outcome"], rule["examples"]) for rule in result["quality"]["rules"]}
    assert rules["file-format"] == ("warned", ["stores.csv: cells are separated by semicolons"])
    assert result["badRowsUri"] == (tmp_path / "job" / "bad-rows.csv").as_uri()
    assert (tmp_path / "job" / "bad-rows.csv").read_text() == (
        '"file","line","column","value","rule","name"\n'
        '"train.csv",5,"Date","20-01-24","Date must be a real date, written like 2012-01-27, without a time '
        'of day other than midnight","date"\n'
    )


def test_a_secret_of_a_url_is_nowhere(
    connection: psycopg.Connection, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = long_files.rows()
    lines["sales"][3] = "1,1,2020-01-17,many"
    long_files.write(tmp_path / "folder", lines)
    with object_server.serve(tmp_path) as address:
        for number, path in enumerate(("folder", "none", "folder/sales.csv")):
            monkeypatch.setenv("SALES_URL", f"http://me:s3cr3t@{address}/{path}?key=s3cr3t")
            source = {"kind": "long", "addressVariable": "SALES_URL", "encoding": "utf-8"}
            job = start(tmp_path / f"job{number}", database_url, f"job_secret{number}", source, "job_secret")
            assert "s3cr3t" not in job.communicate(timeout=60)[1]
    assert (tmp_path / "job0" / "result.json").exists()
    texts = [file.read_bytes() for file in tmp_path.glob("job*/**/*") if file.is_file()]
    rows = connection.execute("select source::text from raw.batch where dataset = 'job_secret'").fetchall()
    assert rows
    assert not any(b"s3cr3t" in text for text in [*texts, *(row[0].encode() for row in rows)])


def test_a_new_week_of_the_long_layout_and_one_that_is_not_over(database_url: str, tmp_path: Path) -> None:
    lines = long_files.rows()
    source = {"kind": "long", "path": str(tmp_path / "folder"), "encoding": "utf-8"}

    def load(name: str, weeks: list[str]) -> Path:
        lines["sales"][1:] = [f"{s},{d},{w},{1000 * s + d}" for s in (1, 2) for d in (1, 7) for w in weeks]
        long_files.write(tmp_path / "folder", lines)
        job = start(tmp_path / name, database_url, f"job_long_{name}", source, dataset="job_long")
        job.communicate(timeout=60)
        return tmp_path / name

    first = read_json(load("first", ["2020-01-03", "2020-01-10"]) / "result.json")
    second = read_json(load("second", ["2020-01-17"]) / "result.json")
    assert (first["insertedRows"], second["insertedRows"]) == (8, 4)
    assert second["snapshot"]["rowCount"] == 12
    outcomes = {rule["name"]: rule["outcome"] for rule in second["quality"]["rules"]}
    assert {name for name, outcome in outcomes.items() if outcome != "kept"} == {
        "short-history",
        "holiday-source",
    }

    error = read_json(load("third", ["2999-01-04"]) / "error.json")
    assert error["type"] == "BadData"
    assert "bad-row-share: 4 of 18 source rows" in error["message"]
    assert "'2999-01-04': week must be from 1980 to 2099" in error["message"]


def test_too_many_bad_rows(database_url: str, tmp_path: Path) -> None:
    lines = source_folders.rows()
    lines["train.csv"][1:] = ["bad"] * 24
    folder = source_folders.write(tmp_path / "folder", lines)
    job = start(tmp_path / "job", database_url, "job_too_bad", {"kind": "walmart-csv", "path": str(folder)})
    job.communicate(timeout=60)
    assert job.returncode == 2
    error = read_json(tmp_path / "job" / "error.json")
    assert error["type"] == "BadData"
    assert "maxBadRowShare" in error["message"]
    assert "with `--acknowledge " in error["message"]
    page = tmp_path / "job" / "quality" / "quality.html"
    assert f"The report is {page}" in error["message"]
    assert "train.csv:2" in page.read_text()
    outcomes = {r["name"]: r["outcome"] for r in read_json(page.with_suffix(".json"))["rules"]}
    assert (outcomes["bad-row-share"], outcomes["cell-count"]) == ("stopped", "warned")
    assert len((tmp_path / "job" / "bad-rows.csv").read_text().splitlines()) == 25
    assert not (tmp_path / "job" / "result.json").exists()


def test_killed_in_the_middle_of_the_load(
    connection: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    folder = source_folders.write(tmp_path / "folder", source_folders.rows())
    source = {"kind": "walmart-csv", "path": str(folder)}
    # Sales are added before stores: the job will have written rows, and wait.
    with psycopg.connect(database_url) as other:
        other.execute("lock table raw.store in access exclusive mode")
        job = start(tmp_path / "killed", database_url, "job_killed", source)
        server_process = _wait_for_lock(connection, "raw.store")
        assert _has_written(connection, server_process, "raw.sales")
        os.kill(job.pid, signal.SIGKILL)
        job.communicate(timeout=30)
        other.rollback()
    while connection.execute("select 1 from pg_stat_activity where pid = %s", [server_process]).fetchone():
        time.sleep(0.05)
    for table in ("batch", "sales", "store_week", "store"):
        row = connection.execute(f"select count(*) from raw.{table} where dataset = 'job_killed'").fetchone()
        assert row == (0,)
    assert not (tmp_path / "killed" / "result.json").exists()

    job = start(tmp_path / "next", database_url, "job_killed", source)
    job.communicate(timeout=60)
    assert read_json(tmp_path / "next" / "result.json")["insertedRows"] == 24


def _wait_for_lock(connection: psycopg.Connection, table: str) -> int:
    """Returns the server process that waits for the table."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        row = connection.execute(
            "select pid from pg_locks where relation = to_regclass(%s) and not granted", [table]
        ).fetchone()
        if row is not None:
            return int(row[0])
        time.sleep(0.02)
    raise AssertionError(f"no process came to wait for {table}")


def _has_written(connection: psycopg.Connection, server_process: int, table: str) -> bool:
    row = connection.execute(
        "select 1 from pg_locks where pid = %s and relation = to_regclass(%s) and mode = 'RowExclusiveLock'",
        [server_process, table],
    ).fetchone()
    return row is not None
