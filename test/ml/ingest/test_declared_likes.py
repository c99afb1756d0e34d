"""Stores and departments that are like others, in files of stores and items."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import long_files
import psycopg
import pytest

from shelfcast.features.build import read_inputs
from shelfcast.features.likes import Likes
from shelfcast.ids import Ids
from shelfcast.snapshot import read_extras, read_ids

Ingest = Callable[..., dict[str, Any]]

STORES = ["store,type,size,like", "1,A,100,NA", "2,B,200,", "Nord,A,100,1"]
ITEMS = ["dept,like", "1,", "7,NA", "toys,07"]


@pytest.fixture
def load(ingest: Ingest, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    requests: list[str] = []

    def run(declared: str = '{"columns": {"like": "like"}}', **files: list[str]) -> dict[str, Any]:
        requests.append(f"{tmp_path.name}-{len(requests)}")
        lines = {**long_files.rows(), "stores": STORES, **files}
        folder = long_files.write(tmp_path / requests[-1], lines)
        (folder / "shelfcast.json").write_text(declared)
        return ingest(tmp_path.name, requests[-1], folder, 0.5, kind="long")

    return run


def found(connection: psycopg.Connection, result: dict[str, Any]) -> dict[str, str]:
    snapshot = result["snapshot"]["dataset"], result["snapshot"]["batchId"]
    likes, ids = Likes.of(read_extras(connection, *snapshot)), Ids.of(read_ids(connection, *snapshot))
    stores = {ids.id("store", new): ids.id("store", other) for new, other in likes.stores.items()}
    return stores | {ids.id("dept", new): ids.id("dept", other) for new, other in likes.departments.items()}


def rule(result: dict[str, Any], name: str) -> tuple[str, list[str]]:
    rules = {rule["name"]: (rule["outcome"], rule["examples"]) for rule in result["quality"]["rules"]}
    return rules[name]


def test_new_stores_and_departments_are_like_others(
    connection: psycopg.Connection, load: Callable[..., dict[str, Any]]
) -> None:
    result = load(items=ITEMS)
    assert found(connection, result) == {"Nord": "1", "toys": "7"}
    assert [rule(result, name)[0] for name in ("like", "like-without-sales")] == ["kept", "kept"]
    # The series that the endpoint answers: departments 1 and 7 of the new store, and toys in all of them.
    inputs = read_inputs(connection, result["snapshot"]["dataset"], result["snapshot"]["batchId"])
    pairs = zip(
        inputs.grid.store[inputs.grid.estimated], inputs.grid.dept[inputs.grid.estimated], strict=True
    )
    series = {inputs.ids.series(int(store), int(dept)) for store, dept in pairs}
    assert series == {
        *(f"store Nord, dept {dept}" for dept in ("1", "7", "toys")),
        *(f"store {store}, dept toys" for store in ("1", "2")),
    }
    # The data set keeps them, and NA takes one back.
    assert found(connection, load("{}")) == {"Nord": "1", "toys": "7"}
    back = load(stores=[*STORES[:3], "Nord,A,100,NA"])
    assert found(connection, back) == {"toys": "7"}


def test_what_is_unknown_or_itself_is_a_bad_row(load: Callable[..., dict[str, Any]]) -> None:
    result = load(stores=[*STORES, "West,A,100,Mitte", "Ost,A,100,Ost"])
    outcome, examples = rule(result, "like")
    assert (outcome, result["badRows"]) == ("warned", 2)
    assert "like must be a store of the data, or NA" in examples[0]
    assert "like must be another one" in examples[1]


def test_one_without_sales_is_told(load: Callable[..., dict[str, Any]]) -> None:
    result = load(stores=[*STORES, "West,A,100,Nord"], items=[*ITEMS, "games,toys"])
    assert rule(result, "like-without-sales") == (
        "warned",
        [
            "store 'West' is like 'Nord', which has no sales, so its history is estimated",
            "dept 'games' is like 'toys', which has no sales, so it has no estimated history",
        ],
    )


@pytest.mark.parametrize("is_later", [False, True])
def test_a_like_of_one_that_was_merged_is_like_what_remains(
    connection: psycopg.Connection, load: Callable[..., dict[str, Any]], is_later: bool
) -> None:
    merged = '{"columns": {"like": "like"}, "merged": [{"of": "store", "from": "1", "to": "2"}%s]}'
    of_dept = ', {"of": "dept", "from": "7", "to": "1"}'
    before = load(items=ITEMS)
    result = load(merged % of_dept) if is_later else load(merged % of_dept, items=ITEMS)
    assert found(connection, result) == {"Nord": "2", "toys": "1"}
    assert rule(result, "like-without-sales")[0] == "kept"
    assert found(connection, before) == {"Nord": "1", "toys": "7"}
