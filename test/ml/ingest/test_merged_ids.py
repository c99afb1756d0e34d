"""Stores and departments that become one: declarations, snapshots before and after, and the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import long_files
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shelfcast.ids import Ids
from shelfcast.job import UserError
from shelfcast.snapshot import (
    read_extras,
    read_ids,
    read_level_members,
    read_sales,
    read_store_weeks,
    read_stores,
)

Ingest = Callable[..., dict[str, Any]]
Sales = dict[tuple[str, str, int], float]
Read = Callable[[psycopg.Connection, str, int], pa.Table]

WEEKS = [long_files.FIRST_WEEK + timedelta(weeks=n) for n in range(4)]
S7_INTO_S3 = ("store", "S7", "S3")


def merged(*merges: tuple[str, str, str]) -> dict[str, Any]:
    return {"merged": [{"of": of, "from": former, "to": to} for of, former, to in merges]}


class Shop:
    """A data set, loaded from one folder after the other."""

    def __init__(self, connection: psycopg.Connection, ingest: Ingest, folder: Path, name: str) -> None:
        self._connection, self._ingest, self._folder, self._name = connection, ingest, folder, name
        self._requests = 0

    def load(self, sales: Sales, declared: dict[str, Any] | None = None, **files: Sequence[str]) -> Any:
        """Loads sales of (store, department, week number), and returns the result of the job."""
        self._requests += 1
        rows = [f"{store},{dept},{WEEKS[week]},{value}" for (store, dept, week), value in sales.items()]
        folder = long_files.write(
            self._folder / str(self._requests), {"sales": ["store,dept,week,sales", *rows], **files}
        )
        (folder / "shelfcast.json").write_text(json.dumps(declared or {}))
        allow = ("row-count-change", "mean-sales-change", "unknown-store")
        request = f"{self._name}-{self._requests}"
        return self._ingest(self._name, request, folder, kind="long", allow=allow)

    def rows(self, read: Read, result: Any) -> list[dict[str, Any]]:
        """Returns the rows of a snapshot, with ids in place of numbers and weeks in place of days."""
        batch = result["snapshot"]["batchId"]
        ids = Ids.of(read_ids(self._connection, self._name, batch))
        rows = read(self._connection, self._name, batch).to_pylist()
        for row in rows:
            row.update((of, ids.id(of, row[of])) for of in ("store", "dept") if row.get(of))
            if row.get("week") is not None:
                row["week"] = WEEKS.index(row["week"])
        return rows

    def sales(self, result: Any) -> Sales:
        """Returns the sales of a snapshot."""
        rows = self.rows(read_sales, result)
        return {(row["store"], row["dept"], row["week"]): row["weekly_sales"] for row in rows}


def rule(result: Any, name: str) -> tuple[str, list[str]]:
    found = next(rule for rule in result["quality"]["rules"] if rule["name"] == name)
    return found["outcome"], found["examples"]


@pytest.fixture
def shop(connection: psycopg.Connection, ingest: Ingest, tmp_path: Path) -> Shop:
    return Shop(connection, ingest, tmp_path, tmp_path.name)


def test_sales_of_both_are_summed_and_earlier_snapshots_stay(shop: Shop) -> None:
    sales: Sales = {
        ("S3", "1", 0): 10,
        ("S3", "1", 1): 20,
        ("S7", "1", 1): 3,
        ("S7", "1", 2): 4,
        ("S9", "1", 0): 1,
    }
    first = shop.load(sales)
    second = shop.load({("S9", "1", 1): 1}, merged(S7_INTO_S3))
    both = {("S3", "1", 0): 10, ("S3", "1", 1): 23, ("S3", "1", 2): 4, ("S9", "1", 0): 1, ("S9", "1", 1): 1}
    assert shop.sales(second) == both
    assert (second["snapshot"]["rowCount"], second["snapshot"]["seriesCount"]) == (5, 2)
    assert shop.sales(first) == sales
    assert first["snapshot"]["seriesCount"] == 3

    # New weeks and corrections of either id are folded in, without the entry, too.
    third = shop.load({("S7", "1", 3): 5, ("S3", "1", 3): 6, ("S7", "1", 1): 30})
    assert shop.sales(third) == both | {("S3", "1", 1): 50, ("S3", "1", 3): 11}
    assert shop.sales(second) == both


def test_the_same_load_again_changes_nothing(
    shop: Shop, connection: psycopg.Connection, tmp_path: Path
) -> None:
    sales: Sales = {("S3", "1", 0): 10, ("S7", "1", 0): 3}
    one, other = (shop.load(sales, merged(S7_INTO_S3)) for _ in range(2))
    assert one["snapshot"]["contentHash"] == other["snapshot"]["contentHash"]
    assert (other["insertedRows"], shop.sales(other)) == (0, {("S3", "1", 0): 13})
    rows = connection.execute("select from raw.merge where dataset = %s", [tmp_path.name])
    assert rows.rowcount == 1


def test_a_merge_is_part_of_the_hash(shop: Shop) -> None:
    sales: Sales = {("3", "1", 0): 10, ("7", "1", 0): 3}
    plain, other = shop.load(sales), shop.load(sales, merged(("store", "7", "3")))
    assert plain["snapshot"]["contentHash"] != other["snapshot"]["contentHash"]


@pytest.mark.parametrize("at_once", [True, False])
def test_chains_end_at_the_last_id(shop: Shop, at_once: bool) -> None:
    sales: Sales = {("A", "1", 0): 1, ("B", "1", 0): 2, ("C", "1", 0): 4}
    chain = [("store", "A", "B"), ("store", "B", "C")]
    if not at_once:
        assert shop.sales(shop.load(sales, merged(*chain[:1]))) == {("B", "1", 0): 3, ("C", "1", 0): 4}
    assert shop.sales(shop.load(sales, merged(*chain))) == {("C", "1", 0): 7}
    # The entries may stay, in any order.
    assert shop.sales(shop.load(sales, merged(*reversed(chain)))) == {("C", "1", 0): 7}


def test_stores_and_departments_merge_together(shop: Shop) -> None:
    sales: Sales = {("A", "X", 0): 1, ("A", "Y", 0): 2, ("B", "X", 0): 4, ("B", "Y", 0): 8}
    result = shop.load(sales, merged(("store", "A", "B"), ("dept", "X", "Y")))
    assert shop.sales(result) == {("B", "Y", 0): 15}


def test_a_renamed_id_merges_under_either_name(shop: Shop) -> None:
    sales: Sales = {("S7", "1", 0): 1, ("S3", "1", 0): 2}
    declared = {"renamed": [{"of": "store", "from": "S3", "to": "NEW"}], **merged(("store", "S7", "NEW"))}
    assert shop.sales(shop.load(sales, declared)) == {("NEW", "1", 0): 3}
    assert shop.sales(shop.load({("S7", "1", 1): 1}, merged(S7_INTO_S3))) == {
        ("NEW", "1", 0): 3,
        ("NEW", "1", 1): 1,
    }


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ([("S7", "S7")], "store 'S7' goes into 'S7', which are one already"),
        ([("S7", "S3"), ("S3", "S7")], "store 'S3' goes into 'S7', but 'S7' is merged into 'S3'"),
        (
            [("S7", "S3"), ("S3", "S9"), ("S9", "S7")],
            "store 'S9' goes into 'S7', but 'S7' is merged into 'S9'",
        ),
        ([("S7", "S3"), ("S7", "S9")], "but 'S7' is part of 'S3' already"),
        ([("S7", "S99")], "but 'S99' is neither in the data set nor in this load"),
        ([("S99", "S7")], "but 'S99' is neither in the data set nor in this load"),
        ([("S7", "a\nb")], r"merged: 'a\\nb' must be text of 1 to 100 characters"),
    ],
)
def test_merges_that_cannot_be(shop: Shop, merges: list[tuple[str, str]], message: str) -> None:
    sales: Sales = {("S3", "1", 0): 1, ("S7", "1", 0): 1, ("S9", "1", 0): 1}
    with pytest.raises(UserError, match=message):
        shop.load(sales, merged(*(("store", *pair) for pair in merges)))


def test_an_earlier_merge_cannot_be_turned_round(shop: Shop) -> None:
    sales: Sales = {("S3", "1", 0): 1, ("S7", "1", 0): 1}
    shop.load(sales, merged(S7_INTO_S3))
    with pytest.raises(UserError, match="store 'S3' goes into 'S7', but 'S7' is merged into 'S3'"):
        shop.load(sales, merged(("store", "S3", "S7")))


def test_attributes_are_those_of_the_id_that_remains_and_others_are_told(shop: Shop) -> None:
    sales: Sales = {("S3", "1", 0): 1, ("S7", "2", 0): 1}
    levels = {"levels": {"region": "stores.region"}}
    stores = ["store,type,size,region", "S3,A,100,north", "S7,B,100,NA"]
    result = shop.load(sales, {**levels, **merged(S7_INTO_S3)}, stores=stores)
    assert shop.rows(read_stores, result) == [{"store": "S3", "type": "A", "size": 100}]
    assert [(row["number"], row["member"]) for row in shop.rows(read_level_members, result)] == [(1, "north")]
    assert rule(result, "merged-attributes") == (
        "warned",
        [
            "store 'S7' has the region NA, and 'S3', into which it is merged, has north, which counts",
            "store 'S7' has the type B, and 'S3', into which it is merged, has A, which counts",
        ],
    )


def test_values_of_weeks_are_those_of_the_id_that_remains_where_it_has_one(shop: Shop) -> None:
    sales: Sales = {(store, "1", week): 1 for store in ("S3", "S7") for week in range(3)}
    weeks = ["store,week,cpi,open", f"S7,{WEEKS[0]},7,1", f"S7,{WEEKS[1]},7,0", f"S3,{WEEKS[1]},3,NA"]
    promo = ["store,dept,week,promo", f"S7,1,{WEEKS[0]},1", f"S7,1,{WEEKS[1]},1", f"S3,1,{WEEKS[1]},0"]
    covariate = {"name": "promo", "of": "series_week", "knownAfterWeeks": 0, "description": "leaflet"}
    declared = {"covariates": [covariate], **merged(S7_INTO_S3)}
    result = shop.load(sales, declared, store_weeks=weeks, series_weeks=promo)
    found = {row["week"]: row["cpi"] for row in shop.rows(read_store_weeks, result)}
    assert found == {0: 7, 1: 3, 2: None}
    extras = shop.rows(read_extras, result)
    assert {row["week"]: row["value"] for row in extras if row["name"] == "promo"} == {0: 1, 1: 0}
    # A store that closed when it became part of another one does not shut it.
    assert [row["value"] for row in extras if row["name"] == "open"] == [None]


@pytest.mark.parametrize("is_later", [False, True])
def test_a_store_that_moved_keeps_the_weeks_before_its_opening(shop: Shop, is_later: bool) -> None:
    days = {"columns": {"opened": "opened", "closed": "closed"}}
    stores = ["store,type,size,opened,closed", f"S7,A,100,,{WEEKS[1]}", f"S3,A,100,{WEEKS[2]},"]
    sales: Sales = {("S7", "1", 0): 10, ("S7", "1", 1): 11, ("S3", "1", 2): 12}
    if is_later:
        shop.load(sales, days, stores=stores)
        result = shop.load({("S3", "1", 3): 13}, merged(S7_INTO_S3))
    else:
        result = shop.load(sales, {**days, **merged(S7_INTO_S3)}, stores=stores)
    extras = shop.rows(lambda *of: read_extras(*of).filter(pc.field("week") <= WEEKS[3]), result)
    assert [row for row in extras if row["name"] == "open" and row["value"] == 0] == []
    assert rule(result, "outside-open-dates")[0] == "kept"


def test_sales_of_a_merged_store_are_told_after_the_closing_of_the_one_that_remains(shop: Shop) -> None:
    stores = ["store,type,size,closed", f"S3,A,100,{WEEKS[0]}", "S7,A,100,NA"]
    declared = {"columns": {"closed": "closed"}, **merged(S7_INTO_S3)}
    result = shop.load({("S7", "1", 0): 1, ("S7", "1", 1): 2}, declared, stores=stores)
    expected = f"store S7, dept 1 {WEEKS[1]}: 2, merged into 'S3', closed {WEEKS[0]}"
    assert rule(result, "outside-open-dates") == ("warned", [expected])


def test_a_merge_is_no_sudden_change(shop: Shop) -> None:
    stores = ["A", "B", "C", "D"]
    shop.load({(store, "1", week): 10 for store in stores for week in range(3)})
    into_a = merged(*(("store", store, "A") for store in stores[1:]))
    result = shop.load({("A", "1", 3): 40}, into_a)
    assert [rule(result, name)[0] for name in ("row-count-change", "mean-sales-change")] == ["kept", "kept"]
    lost = shop.load({("A", "1", 3): 400}, into_a)
    assert rule(lost, "mean-sales-change")[0] != "kept"
