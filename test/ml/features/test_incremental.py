"""Repeated runs, late corrections and past ranges write online what they change and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from feature_samples import Sales, tables_of, week
from psycopg import sql
from raw_batches import add_batch

from shelfcast.contracts.model import View
from shelfcast.contracts.specs import MISSING_WEEKS_ROW, FeaturesSpec
from shelfcast.contracts.wire import decode
from shelfcast.database import connect
from shelfcast.features import feast_repository, materialization
from shelfcast.features.build import build_features
from shelfcast.features.changed_origins import first_changed_origin
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.materialization import Window
from shelfcast.features.offline_tables import JOIN_KEYS, table_name

HORIZON, WEEKS = 2, 60
FEATURES = FeatureSet(HORIZON)
#: The series (3, 2) ends before the others.
SALES: Sales = {
    (s, d, n): 100.0 * s + 10 * d + n % 7
    for s in (1, 2, 3)
    for d in (1, 2)
    for n in range(40 if (s, d) == (3, 2) else WEEKS)
}
#: Key of a row -> transaction that wrote it, and its values.
Rows = dict[tuple[Any, ...], tuple[Any, ...]]


def run(snapshot: dict[str, Any], folder: Path) -> None:
    folder.mkdir()
    project = f"shelfcast_{snapshot['dataset']}"
    spec = {"snapshot": snapshot, "feastProject": project, "horizonWeeks": HORIZON}
    build_features(decode(FeaturesSpec, spec, "spec"), folder)


def online(url: str, project: str, view: View) -> Rows:
    width = len(JOIN_KEYS[view])
    statement = sql.SQL(
        "select {keys}, xmin::text, to_jsonb(rows) - 'created_ts' from feast_online.{table} rows"
    ).format(
        keys=sql.SQL(", ").join(map(sql.Identifier, JOIN_KEYS[view])),
        table=sql.Identifier(table_name(project, view)),
    )
    with connect(url) as connection:
        return {row[:width]: row[width:] for row in connection.execute(statement)}


def all_online(url: str, project: str) -> dict[View, Rows]:
    return {view: online(url, project, view) for view in FEATURES.view_columns}


def test_the_same_snapshot_again_writes_no_row_online(url: str, tmp_path: Path) -> None:
    snapshot = add_batch(url, "incremental_again", tables_of(SALES, {}))
    run(snapshot, tmp_path / "first")
    before = all_online(url, "shelfcast_incremental_again")
    run(snapshot, tmp_path / "again")
    assert all_online(url, "shelfcast_incremental_again") == before


def test_a_merge_leaves_the_rows_of_the_sum(url: str, tmp_path: Path) -> None:
    """A new week in the same load would alone keep the rows of all earlier origins."""
    sold = {**SALES, **{(3, d, n): 50.0 + n for d in (1, 2) for n in range(WEEKS)}}
    run(add_batch(url, "merge_later", tables_of(sold, {})), tmp_path / "first")
    new = {(s, d, WEEKS): 7.0 * s for s in (1, 2, 3) for d in (1, 2)}
    second = add_batch(url, "merge_later", tables_of(new, {}))
    with connect(url) as connection:
        connection.execute(
            "insert into raw.merge (dataset, of, number, into_number, batch_id) "
            "values (%(dataset)s, 'store', 3, 1, %(batch)s), (%(dataset)s, 'dept', 2, 1, %(batch)s)",
            {"dataset": "merge_later", "batch": second["batchId"]},
        )
    run(second, tmp_path / "second")
    sums: Sales = {}
    for (s, _, n), value in (sold | new).items():
        key = (1 if s == 3 else s, 1, n)
        sums[key] = sums.get(key, 0.0) + value
    run(add_batch(url, "merge_first", tables_of(sums, {})), tmp_path / "sums")
    # Store 3 is described, so without the merge it is a new store with estimates.
    for view, rows in all_online(url, "shelfcast_merge_first").items():
        expected = {key: values for key, (_, values) in rows.items() if key[0] != 3}
        found = online(url, "shelfcast_merge_later", view)
        assert {key: values for key, (_, values) in found.items()} == expected


def test_a_new_week_of_a_merged_store_makes_weeks_zero(url: str) -> None:
    """The newest week of the store that remains moves, and weeks between lack a row."""
    first = add_batch(url, "merge_zero", tables_of({(1, 1, n): 1.0 for n in range(10)}, {}))
    with connect(url) as connection:
        for insert in (
            "insert into raw.extra values (%(dataset)s, %(zero)s, 0, 0, '0001-01-01', 1, %(batch)s)",
            "insert into raw.merge values (%(dataset)s, 'store', 2, 1, %(batch)s)",
        ):
            values = {"dataset": "merge_zero", "zero": MISSING_WEEKS_ROW, "batch": first["batchId"]}
            connection.execute(insert, values)
    second = add_batch(url, "merge_zero", tables_of({(2, 1, 14): 1.0}, {}))
    with connect(url) as connection:
        changed = first_changed_origin(connection, first["id"], "merge_zero", second["batchId"], FEATURES)
    assert changed == week(10)


@pytest.mark.parametrize("late", [3, 8, 50, WEEKS - 1])
def test_a_late_correction_writes_the_rows_whose_values_it_changes(
    url: str, tmp_path: Path, late: int
) -> None:
    dataset = f"incremental_late_{late}"
    project = f"shelfcast_{dataset}"
    run(add_batch(url, dataset, tables_of(SALES, {})), tmp_path / "first")
    before = all_online(url, project)
    run(add_batch(url, dataset, tables_of({(1, 1, late): 4321.0}, {})), tmp_path / "second")
    after = all_online(url, project)
    for view in before:
        assert before[view].keys() == after[view].keys()
        for key, (written, values) in after[view].items():
            assert (written != before[view][key][0]) == (values != before[view][key][1]), (view, key)
    changed = {key for key, row in after["sales_history"].items() if row != before["sales_history"][key]}
    assert (1, 1) in changed
    assert after["store_externals"] == before["store_externals"]

    run(add_batch(url, f"{dataset}_whole", tables_of(SALES | {(1, 1, late): 4321.0}, {})), tmp_path / "whole")
    whole = all_online(url, f"{project}_whole")
    assert {v: {k: row[1] for k, row in after[v].items()} for v in after} == {
        v: {k: row[1] for k, row in whole[v].items()} for v in whole
    }


def test_a_newer_week_makes_the_weeks_before_it_zero(url: str, tmp_path: Path) -> None:
    declared = {(MISSING_WEEKS_ROW, 0, 0, None): 1.0}
    # Store 3 has no row in three weeks, then one in the week of a later batch.
    before = {key: sales for key, sales in SALES.items() if key[0] != 3 or key[2] < WEEKS - 4}
    later = {(3, 1, WEEKS - 1): 7.0}
    dataset, project = "incremental_zero", "shelfcast_incremental_zero"
    first = add_batch(url, dataset, tables_of(before, {}, declared))
    run(first, tmp_path / "first")
    second = add_batch(url, dataset, tables_of(later, {}))
    run(second, tmp_path / "second")
    run(add_batch(url, f"{dataset}_whole", tables_of(before | later, {}, declared)), tmp_path / "whole")
    parts, whole = all_online(url, project), all_online(url, f"{project}_whole")
    assert {v: {k: row[1] for k, row in parts[v].items()} for v in parts} == {
        v: {k: row[1] for k, row in whole[v].items()} for v in whole
    }
    assert parts["sales_history"][3, 1][1]["lag_1"] == 0
    assert parts["sales_history"][3, 2][1]["sales_0"] == 0

    # Without the declaration the week is the series' only row for weeks, and the other series has none.
    third = add_batch(url, dataset, tables_of(later, {}, {(MISSING_WEEKS_ROW, 0, 0, None): 0.0}))
    run(third, tmp_path / "third")
    unknown = online(url, project, "sales_history")
    assert unknown[3, 1][1]["lag_1"] is None
    assert unknown[3, 2][1]["event_ts"].startswith(week(39).isoformat())
    with connect(url) as connection:
        changed = [
            first_changed_origin(connection, old["id"], dataset, new["batchId"], FEATURES)
            for old, new in ((first, second), (second, third))
        ]
    assert changed == [week(WEEKS - 4), None]


def test_a_past_range_leaves_newer_rows_and_fills_what_is_not_there(url: str, tmp_path: Path) -> None:
    dataset, project = "incremental_past", "shelfcast_incremental_past"
    run(add_batch(url, dataset, tables_of(SALES, {})), tmp_path / "run")
    before = online(url, project, "sales_history")
    with connect(url) as connection:
        connection.execute(f"delete from feast_online.{project}_sales_history where store = 2")
        connection.execute(
            f"update feast_online.{project}_sales_history set event_ts = event_ts - interval '30 weeks' "
            "where store = 3 and dept = 1"
        )
    with feast_repository.open_store(project, url) as store:
        materialization.materialize(store, Window(week(30), week(45)))
    after = online(url, project, "sales_history")
    for key in [(1, 1), (1, 2), (3, 2)]:
        assert after[key] == before[key], key
    for key in [(2, 1), (2, 2), (3, 1)]:
        assert after[key][1]["event_ts"].startswith(week(45).isoformat()), key
        assert after[key][1]["lag_1"] == SALES[(*key, 44)], key
