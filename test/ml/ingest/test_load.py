from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import long_files
import numpy as np
import psycopg
import pyarrow as pa
import pytest
import source_folders
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from shelfcast.database import copy_table
from shelfcast.ingest.load import lock_dataset
from shelfcast.job import UserError
from shelfcast.snapshot import (
    RAW_TABLES,
    SALES,
    content_hash,
    read_ids,
    read_sales,
    read_store_weeks,
    read_stores,
    read_table,
)

Ingest = Callable[..., dict[str, Any]]


def snapshot_hash(connection: psycopg.Connection, snapshot: dict[str, Any]) -> str:
    tables = {
        raw.name: read_table(connection, raw, snapshot["dataset"], snapshot["batchId"]) for raw in RAW_TABLES
    }
    return content_hash(tables)


def count(connection: psycopg.Connection, table: str, dataset: str) -> int:
    statement = sql.SQL("select count(*) from {} where dataset = %s").format(sql.Identifier("raw", table))
    row = connection.execute(statement, [dataset]).fetchone()
    assert row is not None
    return int(row[0])


def stored_rows(connection: psycopg.Connection, dataset: str) -> list[int]:
    return [count(connection, table, dataset) for table in ("batch", "sales", "store_week", "store")]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited 30 seconds in vain"
        time.sleep(0.02)


def test_first_load(connection: psycopg.Connection, ingest: Ingest, tmp_path: Path) -> None:
    result = ingest("first", "first-1", source_folders.write(tmp_path, source_folders.rows()))
    snapshot = result["snapshot"]
    batch_id = snapshot["batchId"]
    assert snapshot == {
        "id": f"first-{batch_id}-{snapshot['contentHash'][:12]}",
        "dataset": "first",
        "batchId": batch_id,
        "contentHash": snapshot_hash(connection, snapshot),
        "rowCount": 24,
        "seriesCount": 4,
        "firstWeek": "2020-01-03",
        "lastWeek": "2020-02-07",
    }
    outcomes = {rule["name"]: rule["outcome"] for rule in result["quality"]["rules"]}
    assert {name for name, outcome in outcomes.items() if outcome != "kept"} == {
        "row-count-change",
        "mean-sales-change",
        "unit",
        "new-store",
        # Its flags are not those of the American calendar.
        "holidays-ahead",
        "short-history",
    }
    assert result | {"snapshot": None, "quality": None} == {
        "snapshot": None,
        "quality": None,
        "insertedRows": 24,
        "unchangedRows": 0,
        "badRows": 0,
        "badRowsUri": None,
        "oracleUri": None,
    }
    sales = read_sales(connection, "first", batch_id)
    key = [("store", "ascending"), ("dept", "ascending"), ("week", "ascending")]
    assert sales.sort_by(key) == sales
    assert [len(sales), len(read_store_weeks(connection, "first", batch_id))] == [24, 12]
    assert read_stores(connection, "first", batch_id)["type"].to_pylist() == ["A", "B"]


def test_snapshot_does_not_depend_on_the_order_of_lines(ingest: Ingest, tmp_path: Path) -> None:
    lines = source_folders.rows()
    one = ingest("order_one", "order-1", source_folders.write(tmp_path / "one", lines))
    for texts in lines.values():
        texts[1:] = reversed(texts[1:])
    other = ingest("order_other", "order-2", source_folders.write(tmp_path / "other", lines, "\r"))
    assert one["snapshot"]["contentHash"] == other["snapshot"]["contentHash"]


def test_a_correction_is_a_new_batch_and_the_old_snapshot_stays(
    connection: psycopg.Connection, ingest: Ingest, tmp_path: Path
) -> None:
    lines = source_folders.rows()
    first = ingest("corrected", "corrected-1", source_folders.write(tmp_path, lines))
    before = read_sales(connection, "corrected", first["snapshot"]["batchId"])
    lines["train.csv"][1] = "1,1,2020-01-03,-7.5,FALSE"
    lines["train.csv"].append("2,9,2020-01-10,3,FALSE")
    del lines["train.csv"][5:8]
    lines["features.csv"][1] = lines["features.csv"][1].replace("211.1", "NA")
    second = ingest("corrected", "corrected-2", source_folders.write(tmp_path, lines))

    assert (second["insertedRows"], second["unchangedRows"]) == (2, 20)
    assert stored_rows(connection, "corrected") == [2, 26, 13, 2]
    assert second["snapshot"]["rowCount"] == 25
    assert second["snapshot"]["seriesCount"] == 5
    after = read_sales(connection, "corrected", second["snapshot"]["batchId"])
    assert after["weekly_sales"].to_pylist() == [-7.5, *before["weekly_sales"].to_pylist()[1:], 3.0]
    weeks = read_store_weeks(connection, "corrected", second["snapshot"]["batchId"])
    assert weeks["cpi"].to_pylist() == [None, *[211.1] * 11]

    assert read_sales(connection, "corrected", first["snapshot"]["batchId"]) == before
    for result in (first, second):
        assert snapshot_hash(connection, result["snapshot"]) == result["snapshot"]["contentHash"]
    assert first["snapshot"]["contentHash"] != second["snapshot"]["contentHash"]


def test_back_to_an_older_value(connection: psycopg.Connection, ingest: Ingest, tmp_path: Path) -> None:
    old = source_folders.rows()
    new = source_folders.rows()
    new["train.csv"][1] = "1,1,2020-01-03,5,FALSE"
    hashes = [
        ingest("back", f"back-{n}", source_folders.write(tmp_path, lines))["snapshot"]["contentHash"]
        for n, lines in enumerate([old, new, old])
    ]
    assert hashes[0] == hashes[2] != hashes[1]
    assert stored_rows(connection, "back") == [3, 26, 12, 2]


def test_the_same_rows_again_are_a_batch_without_rows(
    connection: psycopg.Connection, ingest: Ingest, tmp_path: Path
) -> None:
    folder = source_folders.write(tmp_path, source_folders.rows())
    first, second = (ingest("again", f"again-{n}", folder) for n in (1, 2))
    assert (second["insertedRows"], second["unchangedRows"]) == (0, 24)
    assert stored_rows(connection, "again") == [2, 24, 12, 2]
    assert first["snapshot"]["contentHash"] == second["snapshot"]["contentHash"]
    assert first["snapshot"]["id"] != second["snapshot"]["id"]


def test_text_ids_keep_their_numbers(connection: psycopg.Connection, ingest: Ingest, tmp_path: Path) -> None:
    weeks = long_files.FIRST_WEEK, long_files.FIRST_WEEK + timedelta(weeks=1)
    awkward = ['a "b", c', "\\.", "\\N", "007", "4006381333931", "😀"]

    def load(request: int, depts: list[str], **files: Any) -> dict[str, Any]:
        rows = [f'"CA,1","{dept.replace(chr(34), chr(34) * 2)}",{week},5' for dept in depts for week in weeks]
        sales = ["store,dept,week,sales", *rows]
        folder = long_files.write(tmp_path / str(request), {"sales": sales, **files})
        if request == 2:
            rename = {"renamed": [{"of": "dept", "from": "007", "to": "008"}]}
            (folder / "shelfcast.json").write_text(json.dumps(rename))
        return ingest("texts", f"texts-{request}", folder, kind="long", allow=("row-count-change",))

    def ids(result: dict[str, Any]) -> dict[str, tuple[int, bool]]:
        rows = read_ids(connection, "texts", result["snapshot"]["batchId"]).to_pylist()
        return {row["id"]: (row["number"], row["is_current"]) for row in rows if row["of"] == "dept"}

    first = load(1, awkward, stores=["store,type,size", '"CA,1",mall,NA'])
    numbered = {id_: (number, True) for number, id_ in enumerate(sorted(awkward), 1)}
    assert ids(first) == numbered
    stores = read_stores(connection, "texts", first["snapshot"]["batchId"])
    assert stores.to_pylist() == [{"store": 1, "type": "mall", "size": None}]
    rules = {rule["name"]: rule for rule in first["quality"]["rules"]}
    assert rules["no-store-described"]["outcome"] == "kept"

    second = load(2, ["A", "008", "12"])
    renamed = {"007": (numbered["007"][0], False), "008": numbered["007"]}
    assert ids(second) == {**numbered, **renamed, "12": (12, True), "A": (13, True)}
    third = load(3, ["A", "007"])
    assert (third["insertedRows"], ids(third)) == (0, ids(second))
    assert ids(first) == numbered
    assert count(connection, "id", "texts") == 6 + 4 + 2
    for result in (first, second, third):
        assert snapshot_hash(connection, result["snapshot"]) == result["snapshot"]["contentHash"]
    assert third["snapshot"]["contentHash"] == second["snapshot"]["contentHash"]


def test_data_sets_do_not_mix(connection: psycopg.Connection, ingest: Ingest, tmp_path: Path) -> None:
    lines = source_folders.rows()
    one = ingest("mine", "mine-1", source_folders.write(tmp_path, lines))
    lines["train.csv"] = lines["train.csv"][:3]
    other = ingest("yours", "yours-1", source_folders.write(tmp_path, lines))
    assert other["snapshot"]["rowCount"] == 2
    assert len(read_sales(connection, "mine", other["snapshot"]["batchId"])) == 24
    assert len(read_sales(connection, "yours", one["snapshot"]["batchId"])) == 0


def test_the_same_request_finds_its_batch(
    connection: psycopg.Connection, ingest: Ingest, tmp_path: Path
) -> None:
    lines = source_folders.rows()
    lines["train.csv"][1] = "bad"
    folder = source_folders.write(tmp_path, lines)
    first = ingest("request", "request-1", folder, 0.1)
    assert first["badRows"] == 1
    folder.joinpath("train.csv").unlink()
    assert ingest("request", "request-1", folder, 0.1) == first
    assert stored_rows(connection, "request") == [1, 23, 12, 2]


def test_a_request_of_another_load_is_refused(ingest: Ingest, tmp_path: Path) -> None:
    folder = source_folders.write(tmp_path / "one", source_folders.rows())
    ingest("refused", "refused-1", folder)
    for dataset, path in (("other", folder), ("refused", tmp_path / "two")):
        with pytest.raises(UserError, match="requestId refused-1 belongs to batch") as raised:
            ingest(dataset, "refused-1", path)
        assert raised.value.type == "InvalidInput"


def test_weeks_of_a_data_set_end_on_one_weekday(
    connection: psycopg.Connection, ingest: Ingest, tmp_path: Path
) -> None:
    lines = source_folders.rows()
    ingest("weekday", "weekday-1", source_folders.write(tmp_path, lines))
    saturday = {name: [text.replace("-01-10", "-01-11") for text in texts] for name, texts in lines.items()}
    for name in ("train.csv", "features.csv"):
        saturday[name] = [text for text in saturday[name] if "-01-11" in text or text.startswith("Store")]
    with pytest.raises(UserError, match="Date must be a Friday as in the data set") as raised:
        ingest("weekday", "weekday-2", source_folders.write(tmp_path, saturday))
    assert raised.value.type == "BadData"
    assert stored_rows(connection, "weekday") == [1, 24, 12, 2]


def test_too_many_bad_rows_load_nothing(
    connection: psycopg.Connection, ingest: Ingest, tmp_path: Path
) -> None:
    lines = source_folders.rows()
    lines["train.csv"][1:] = ["bad"] * 24
    folder = source_folders.write(tmp_path, lines)
    for share, message in ((0.5, "24 of 38 source rows"), (1, "has no good row of sales")):
        with pytest.raises(UserError, match=message) as raised:
            ingest("too_bad", f"too-bad-{share}", folder, share)
        assert raised.value.type == "BadData"
    assert stored_rows(connection, "too_bad") == [0, 0, 0, 0]


@pytest.mark.parametrize("requests", [("one", "other"), ("same", "same")])
def test_two_loads_at_once(
    connection: psycopg.Connection, ingest: Ingest, tmp_path: Path, requests: tuple[str, str]
) -> None:
    dataset = f"at_once_{requests[1]}"
    folder = source_folders.write(tmp_path, source_folders.rows())
    waiting = "select count(*) = 2 from pg_locks where locktype = 'advisory' and not granted"

    def both_wait() -> bool:
        row = connection.execute(waiting).fetchone()
        return row is not None and bool(row[0])

    with ThreadPoolExecutor(2) as pool:
        with connection.transaction():
            lock_dataset(connection, dataset)
            loads = [pool.submit(ingest, dataset, f"{dataset}-{name}", folder) for name in requests]
            wait_until(both_wait)
        first, second = sorted((load.result(30) for load in loads), key=lambda r: r["unchangedRows"])
    assert first["snapshot"]["contentHash"] == second["snapshot"]["contentHash"]
    if requests[0] == requests[1]:
        assert first == second
    else:
        assert (first["insertedRows"], second["insertedRows"]) == (24, 0)
        assert first["snapshot"]["batchId"] < second["snapshot"]["batchId"]
    assert stored_rows(connection, dataset) == [len(set(requests)), 24, 12, 2]


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_every_double_comes_back(database_url: str, values: list[float]) -> None:
    """COPY writes and reads text: what is read must have the bits of what was written."""
    keys = np.arange(len(values))
    rows = pa.table(
        {"store": keys, "dept": keys, "week": keys.astype("datetime64[D]"), "weekly_sales": values}
    )
    rows = rows.append_column("is_holiday", pa.array(keys % 2 == 0)).cast(SALES.schema)
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "insert into raw.batch (dataset, request_id, source, content_hash, row_count) "
            "values ('doubles', 'doubles', '{}', '', 0) returning batch_id"
        ).fetchone()
        assert row is not None
        owner = {"dataset": "doubles", "batch_id": row[0]}
        for name, value in owner.items():
            rows = rows.append_column(name, pa.repeat(value, len(values)))
        copy_table(connection, SALES.identifier, rows)
        read_back = read_sales(connection, "doubles", row[0])
        connection.rollback()
    assert read_back["weekly_sales"].to_numpy().tobytes() == np.array(values).tobytes()
    assert read_back.drop("weekly_sales") == rows.select(SALES.schema.names).drop("weekly_sales")
