from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import long_files
import numpy as np
import psycopg
import pyarrow as pa
import pytest

from shelfcast.features.build import read_inputs
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.training_data import write_shared
from shelfcast.ids import Ids
from shelfcast.ingest.load_checks import SalesRows
from shelfcast.ingest.long_source import read_long_folder
from shelfcast.ingest.source_checks import check_source
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.ingest.total_rows import find_total_rows
from shelfcast.job import UserError
from shelfcast.levels import Levels, read_levels_file, write_levels
from shelfcast.snapshot import IDS, LEVELS, SALES, empty_tables, read_level_members

Ingest = Callable[..., dict[str, Any]]

LEVELS_OF_BOTH = {"region": "stores.region", "category": "items.category"}


def files() -> dict[str, list[str]]:
    lines = long_files.rows()
    lines["stores"] = ["store,type,size,region", "1,A,151315,north", "2,B,37392,NA"]
    lines["items"] = ["dept,category", "1,food", "7,toys", "8,toys"]
    return lines


def read(
    folder: Path,
    lines: dict[str, list[str]],
    declaration: dict[str, Any],
    known: dict[str, pa.Table] | None = None,
) -> SourceRows:
    long_files.write(folder, lines)
    (folder / "shelfcast.json").write_text(json.dumps(declaration))
    return read_long_folder(str(folder), "utf-8", known or empty_tables())


def members(source: SourceRows) -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values()) for row in source.tables[LEVELS.name].to_pylist())


def outcome(source: SourceRows, rule: str, known: dict[str, pa.Table] | None = None) -> tuple[int, list[str]]:
    _, checks = check_source(source, known or empty_tables(), 0.01)
    (check,) = [check for check in checks if check.rule == rule]
    return check.rows, list(check.examples)


def test_members_come_from_columns_of_stores_and_items(tmp_path: Path) -> None:
    source = read(tmp_path, files(), {"levels": LEVELS_OF_BOTH})
    assert members(source) == [
        ("category", "dept", 1, "food"),
        ("category", "dept", 7, "toys"),
        ("category", "dept", 8, "toys"),
        ("region", "store", 1, "north"),
        ("region", "store", 2, None),
    ]
    # Department 8 sells nothing yet: it keeps its number until it does.
    assert 8 in source.tables[IDS.name]["number"].to_pylist()
    assert outcome(source, "level-member") == (1, ["region: store 2"])
    assert source.unread == []


def test_a_level_may_be_the_type_of_the_stores(tmp_path: Path) -> None:
    source = read(tmp_path, files(), {"levels": {"format": "stores.type"}})
    assert members(source) == [("format", "store", 1, "A"), ("format", "store", 2, "B")]
    assert source.tables["store"]["type"].to_pylist() == ["A", "B"]
    # Nothing asks for the file of items.
    assert source.unread == ["stores.csv: region"]


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ({"store": "stores.region"}, r"levels\.store is a level of every data set; give it another name"),
        ({"Region": "stores.region"}, r"levels\.Region must be at most 40 lower-case letters"),
        ({"region": "sales.region"}, r"levels\.region is sales\.region; name a column of stores or items"),
        ({"region": "stores.area"}, r"no column area; the header is store,type,size,region"),
    ],
)
def test_a_wrong_level_is_refused(tmp_path: Path, levels: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, files(), {"levels": levels})


def test_a_level_needs_its_file_once(tmp_path: Path) -> None:
    lines = files()
    first = read(tmp_path / "first", lines, {"levels": LEVELS_OF_BOTH})
    del lines["items"]
    with pytest.raises(UserError, match=r"items\.category, and the source has no items; add items\.csv"):
        read(tmp_path / "none", lines, {"levels": LEVELS_OF_BOTH})
    later = read(tmp_path / "later", lines, {"levels": LEVELS_OF_BOTH}, first.tables)
    assert {level for level, *_ in members(later)} == {"region"}
    with pytest.raises(
        UserError, match="the data set has this level of depts; give the new one another name"
    ):
        read(tmp_path / "other", lines, {"levels": {"category": "stores.region"}}, first.tables)


def test_rows_of_declared_totals_are_left_out_of_all_files(tmp_path: Path) -> None:
    lines = files()
    weeks = sorted({row.split(",")[2] for row in lines["sales"][1:]})
    plain = read(tmp_path / "plain", lines, {})
    lines["sales"] += [f"{store},all,{week},1e6" for store in (1, 2) for week in weeks]
    lines["sales"] += [f"0,7,{week},1e6" for week in weeks]
    lines["store_weeks"] += [f"0,{week},50" for week in weeks]
    lines["stores"].append("0,NA,NA,NA")
    declaration = {"totals": {"store": ["0"], "dept": ["all", "sum"]}}
    source = read(tmp_path / "totals", lines, declaration)
    for name in ("sales", "store", "store_week", "id"):
        assert source.tables[name] == plain.tables[name], name
    assert outcome(source, "total-row") == (
        5,
        [
            "sales.csv: rows of declared totals of stores, left out: 6",
            "store_weeks.csv: rows of declared totals of stores, left out: 6",
            "stores.csv: rows of declared totals of stores, left out: 1",
            "sales.csv: rows of declared totals of depts, left out: 12",
            "dept 'sum', a declared total, has no row",
        ],
    )


def sales_rows(series: dict[tuple[str, str], list[float]]) -> SalesRows:
    """Returns the sales of series by the ids of store and dept, whose numbers are in the order of the ids."""
    ids: dict[str, list[str]] = {
        of: sorted({key[part] for key in series}) for part, of in enumerate(("store", "dept"))
    }
    rows = [
        (
            ids["store"].index(store) + 1,
            ids["dept"].index(dept) + 1,
            long_files.FIRST_WEEK + timedelta(weeks=n),
            value,
        )
        for (store, dept), values in series.items()
        for n, value in enumerate(values)
    ]
    names = [(of, id_, n + 1, True) for of, of_kind in ids.items() for n, id_ in enumerate(of_kind)]
    store, dept, week, value = zip(*rows, strict=True)
    table = pa.table(
        {"store": store, "dept": dept, "week": week, "weekly_sales": value, "is_holiday": [False] * len(rows)}
    )
    named = pa.table(dict(zip(IDS.schema.names, zip(*names, strict=True), strict=True)), IDS.schema)
    return SalesRows.of(Ids.of(named), table.cast(SALES.schema))


def test_a_total_that_an_earlier_load_brought_is_refused(tmp_path: Path) -> None:
    lines = long_files.rows()
    known = empty_tables() | read(tmp_path / "first", lines, {}).tables
    says = r"names dept '7', whose sales an earlier load added to the data set, where they stay; load all"
    with pytest.raises(UserError, match=says):
        read(tmp_path / "second", lines, {"totals": {"dept": ["7"]}}, known)
    assert read(tmp_path / "other", lines, {"totals": {"dept": ["9"]}}, known).totals


def test_totals_among_the_sales_are_named() -> None:
    rng = np.random.default_rng(1)
    series = {(store, dept): rng.uniform(5, 50, 30).round(2) for store in "ABC" for dept in ("x", "y", "z")}
    series |= {(store, "99"): series[store, "x"] + series[store, "y"] + series[store, "z"] for store in "ABC"}
    series |= {
        ("Z", dept): series["A", dept] + series["B", dept] + series["C", dept]
        for dept in ("x", "y", "z", "99")
    }
    found = find_total_rows(sales_rows({key: list(values) for key, values in series.items()}))
    assert found == [
        "dept '99' is the sum of the others in 120 of 120 rows; "
        'if it is a total, declare "totals": {"dept": ["99"]}',
        "store 'Z' is the sum of the others in 120 of 120 rows; "
        'if it is a total, declare "totals": {"store": ["Z"]}',
    ]
    parts = {key: list(values) for key, values in series.items() if key[0] != "Z" and key[1] != "99"}
    assert find_total_rows(sales_rows(parts)) == []
    # A total of more than the data have is told by its name.
    named = parts | {("Total", "x"): [1e4] * 30}
    assert [text.split(";")[0] for text in find_total_rows(sales_rows(named))] == [
        "store 'Total' has the name of a total"
    ]


def test_one_store_named_all_is_no_total() -> None:
    assert find_total_rows(sales_rows({("all", dept): [1.0] * 9 for dept in "ab"})) == []


def test_the_snapshot_has_the_newest_members(
    connection: psycopg.Connection, ingest: Ingest, tmp_path: Path
) -> None:
    lines, folder = files(), tmp_path / "folder"
    long_files.write(folder, lines)
    plain = ingest("levels", "levels_0", folder, kind="long")["snapshot"]
    (folder / "shelfcast.json").write_text(json.dumps({"levels": LEVELS_OF_BOTH}))
    first = ingest("levels", "levels_1", folder, kind="long")["snapshot"]
    lines["stores"][1] = "1,A,151315,south"
    second = ingest("levels", "levels_2", long_files.write(folder, lines), kind="long")["snapshot"]
    assert len({snapshot["contentHash"] for snapshot in (plain, first, second)}) == 3

    def members_of(snapshot: dict[str, Any]) -> dict[str, dict[int, str]]:
        levels = Levels.of(read_level_members(connection, "levels", snapshot["batchId"]))
        return {name: dict(level.members) for name, level in levels.declared.items()}

    toys = {1: "food", 7: "toys", 8: "toys"}
    assert members_of(plain) == {}
    assert members_of(first) == {"category": toys, "region": {1: "north"}}
    assert members_of(second) == {"category": toys, "region": {1: "south"}}
    # The features job hands them on to the training.
    inputs = read_inputs(connection, "levels", second["batchId"])
    write_shared(tmp_path, inputs, FeatureSet(1))
    of_training = read_levels_file(tmp_path)
    assert {name: dict(level.members) for name, level in of_training.declared.items()} == members_of(second)


def test_groups_of_series(tmp_path: Path) -> None:
    rows = [("region", "store", 1, "north"), ("region", "store", 2, "south"), ("region", "store", 3, None)]
    levels = Levels.of(
        pa.table(dict(zip(LEVELS.schema.names, zip(*rows, strict=True), strict=True)), LEVELS.schema)
    )
    write_levels(tmp_path, levels)
    assert read_levels_file(tmp_path) == levels
    numbers = {"store": np.array([1, 1, 2, 3]), "dept": np.array([7, 8, 7, 7])}
    groups = {name: levels.groups(name, numbers[levels.key_of(name)], Ids()) for name in levels.names}
    assert {name: (list(g.of_series), g.names) for name, g in groups.items()} == {
        "store": ([0, 0, 1, 2], [1, 2, 3]),
        "dept": ([0, 1, 0, 0], [7, 8]),
        "region": ([0, 0, 1, -1], ["north", "south"]),
        "total": ([0, 0, 0, 0], ["total"]),
    }
    write_levels(tmp_path, Levels())
    assert read_levels_file(tmp_path) == Levels()
