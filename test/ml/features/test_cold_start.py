"""The estimated history of series without sales, from the same department in other stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from feature_samples import Sales, tables_of, week

from shelfcast.features import training_data
from shelfcast.features.cold_start import likely_series
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.likes import Likes
from shelfcast.features.samples import OriginTable, read_origin_table
from shelfcast.features.training_data import ForecastRequest
from shelfcast.levels import LevelOf
from shelfcast.snapshot import EXTRAS, LIKE_ROWS

WEEKS = 60
#: Level of a store's departments; the season is the same everywhere.
LEVELS = {1: 10.0, 2: 20.0, 3: 40.0}


def season(number: int) -> float:
    return 1 + 0.5 * np.sin(number / 5)


def chain() -> Sales:
    """Returns sales of departments 1 and 2 in three stores, and of department 3 in stores 1 and 2 alone."""
    return {
        (store, dept, number): level * dept * season(number)
        for store, level in LEVELS.items()
        for dept in ((1, 2, 3) if store < 3 else (1, 2))
        for number in range(WEEKS)
    }


def table_of(folder: Path, sales: Sales, *new: tuple[int, int], sizes: dict[int, float]) -> OriginTable:
    folder.mkdir()
    tables = tables_of(sales, {})
    stores = tables.stores
    known = stores["store"].to_pylist()
    place = stores.schema.get_field_index("size")
    stores = stores.set_column(place, "size", [[sizes.get(store) for store in known]])
    request = ForecastRequest((week(WEEKS - 1),), new)
    training_data.write(folder, tables.sales, tables.store_weeks, stores, FeatureSet(2), request=request)
    return read_origin_table(folder)


def features_of(table: OriginTable, store: int, dept: int) -> dict[str, float]:
    (row,) = np.flatnonzero((table.store == store) & (table.dept == dept))
    values = table.matrix(np.array([row]), np.array([1]))[0]
    assert np.isnan(table.targets[row]).all()
    return {feature.name: value for feature, value in zip(table.features, values.tolist(), strict=True)}


def test_a_new_department_sells_as_in_other_stores_at_the_level_of_its_own(tmp_path: Path) -> None:
    table = table_of(tmp_path / "data", chain(), (3, 3), sizes={})
    values = features_of(table, 3, 3)
    # Store 3 sells four times and twice as much as the others.
    assert values["sales_0"] == pytest.approx(40 * 3 * season(WEEKS - 1))
    assert values["last_year"] == pytest.approx(40 * 3 * season(WEEKS - 52))
    assert np.isnan(values["weeks_since_first"])


def test_departments_that_a_peer_lacks_do_not_count_as_level(tmp_path: Path) -> None:
    sales = chain() | {(3, 9, number): 5000.0 for number in range(WEEKS)}
    table = table_of(tmp_path / "data", sales, (3, 3), sizes={})
    assert features_of(table, 3, 3)["sales_0"] == pytest.approx(120 * season(WEEKS - 1))


@pytest.mark.parametrize(
    ("sizes", "level"),
    [
        ({1: 1000, 2: 2000, 3: 4000, 4: 3000}, 30),
        # Of unknown sizes the mean of the stores is left.
        ({1: 1000, 2: 2000, 3: 4000}, (10 + 20 + 40) / 3),
        ({}, (10 + 20 + 40) / 3),
    ],
)
def test_a_new_store_sells_in_proportion_to_its_size(
    tmp_path: Path, sizes: dict[int, float], level: float
) -> None:
    table = table_of(tmp_path / "data", chain(), (4, 1), sizes=sizes)
    assert features_of(table, 4, 1)["sales_0"] == pytest.approx(level * season(WEEKS - 1))


@pytest.mark.parametrize(
    ("own", "sizes", "level"),
    [
        # The one peer of a known size counts, and not the others.
        ({}, {1: 1000, 4: 1000}, 10),
        # Another department says nothing where no peer sells it.
        ({(4, 9, number): 77.0 for number in range(WEEKS)}, {1: 1000, 2: 2000, 3: 4000, 4: 1000}, 10),
    ],
)
def test_only_peers_with_a_known_level_count(
    tmp_path: Path, own: Sales, sizes: dict[int, float], level: float
) -> None:
    table = table_of(tmp_path / "data", chain() | own, (4, 1), sizes=sizes)
    assert features_of(table, 4, 1)["sales_0"] == pytest.approx(level * season(WEEKS - 1))


def test_a_department_that_no_store_sells_has_no_estimate(tmp_path: Path) -> None:
    table = table_of(tmp_path / "data", chain(), (1, 7), sizes={})
    values = features_of(table, 1, 7)
    assert np.isnan([values[name] for name in ("sales_0", "rolling_mean_52", "dept_mean_0")]).all()


def test_an_estimate_changes_no_other_row(tmp_path: Path) -> None:
    before = table_of(tmp_path / "before", chain(), sizes={})
    after = table_of(tmp_path / "after", chain(), (3, 3), (4, 1), sizes={})
    kept = ~(((after.store == 3) & (after.dept == 3)) | (after.store == 4))
    assert (~kept).sum() == 2
    for part in ("store", "dept", "origin", "targets", "fixed", "ahead"):
        np.testing.assert_array_equal(getattr(after, part)[kept], getattr(before, part))


def test_departments_of_half_the_stores_are_likely_in_the_others() -> None:
    sales = chain() | {(3, 8, 0): 1.0}
    grid = training_data.grid_of(tables_of(sales, {}).sales)
    # Departments 1 and 2 are everywhere, 3 in two of three stores, 8 in one; store 7 has no sales.
    stores = np.array([1, 2, 3, 7])
    assert set(likely_series(grid, stores)) == {(3, 3), (7, 1), (7, 2), (7, 3)}
    late = {key: value for key, value in sales.items() if key[0] < 3 or key[2] < WEEKS - 1}
    grid = training_data.grid_of(tables_of(late, {}).sales)
    assert set(likely_series(grid, stores)) == {(7, 1), (7, 2), (7, 3)}


def likes(**pairs: dict[int, int]) -> pa.Table:
    """Returns rows that say which stores, or departments, are like which others."""
    kinds: dict[str, LevelOf] = {"stores": "store", "departments": "dept"}
    rows = [
        {"name": LIKE_ROWS[kinds[kind]], "store": 0, "dept": 0, "week": None, "value": float(other)}
        | {kinds[kind]: new}
        for kind, others in pairs.items()
        for new, other in others.items()
    ]
    return pa.Table.from_pylist(rows, pa.schema([*EXTRAS.schema]).set(3, pa.field("week", pa.date32())))


def table_with_likes(folder: Path, sales: Sales, extras: pa.Table, *new: tuple[int, int]) -> OriginTable:
    tables = tables_of(sales, {})
    request = ForecastRequest(new_series=new)
    training_data.write(
        folder, tables.sales, tables.store_weeks, tables.stores, FeatureSet(2), extras, request
    )
    return read_origin_table(folder)


def test_a_new_series_has_the_history_of_the_one_that_it_is_like(tmp_path: Path) -> None:
    extras = likes(stores={4: 2}, departments={9: 2})
    new = ((3, 3), (3, 9), (4, 1), (4, 9))
    table = table_with_likes(tmp_path, chain(), extras, *new)
    now, year_ago = season(WEEKS - 1), season(WEEKS - 52)
    assert {key: features_of(table, *key)["sales_0"] for key in new} == pytest.approx(
        # Department 3 is like none, and is estimated; that of a new store is of the store that it is like.
        {(3, 3): 120 * now, (3, 9): 80 * now, (4, 1): 20 * now, (4, 9): 40 * now}
    )
    values = features_of(table, 3, 9)
    assert values["last_year"] == pytest.approx(80 * year_ago)
    assert np.isnan(values["weeks_since_first"])
    # A department that no store sells has the level of the one that it is like.
    four_weeks = np.mean([season(number) for number in range(WEEKS - 4, WEEKS)])
    assert values["dept_mean_4"] == pytest.approx((10 + 20 + 40) / 3 * 2 * four_weeks)


def test_one_that_has_ended_gives_no_history(tmp_path: Path) -> None:
    sales = {key: value for key, value in chain().items() if key[0] != 2 or key[2] < 40}
    table = table_with_likes(tmp_path, sales, likes(stores={4: 2}), (4, 1))
    # It is estimated from stores 1 and 3 by their sizes: that of store 4 is twice their mean.
    assert features_of(table, 4, 1)["sales_0"] == pytest.approx((10 + 40) / 2 * 2 * season(WEEKS - 1))


def test_likely_series_are_those_of_the_one_that_a_new_one_is_like() -> None:
    sales = chain() | {(1, 7, number): 5.0 for number in range(WEEKS)}
    grid = training_data.grid_of(tables_of(sales, {}).sales)
    stores = np.array([1, 2, 3, 4])
    usual = {(3, 3), (4, 1), (4, 2), (4, 3)}
    assert set(likely_series(grid, stores)) == usual
    found = likely_series(grid, stores, Likes({4: 1}, {9: 7, 3: 7, 1: 2}))
    assert len(found) == len(set(found))
    # Department 7 is sold by store 1 alone, so only it and the store that is like it may sell 9.
    assert set(found) == usual | {(4, 7), (1, 9), (4, 9)}
