from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluate_folders import FEATURES, HORIZONS, WEEK, WEEKS, feature_columns, toy_sales, write_training_data

from shelfcast.calendar import calendar_features
from shelfcast.features import training_data
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.samples import OriginTable, read_origin_table, series_files
from shelfcast.ingest.generator import generate
from shelfcast.snapshot import SALES, STORE_WEEKS, STORES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training_data(tmp_path_factory.mktemp("samples") / "data", toy_sales())


@pytest.fixture(scope="module")
def table(folder: Path) -> OriginTable:
    return read_origin_table(folder)


def all_samples(table: OriginTable) -> tuple[np.ndarray, np.ndarray]:
    rows, horizons = np.divmod(np.arange(len(table.store) * HORIZONS), HORIZONS)
    return rows, horizons + 1


def test_matrix_has_every_value_at_its_place(table: OriginTable) -> None:
    sales = toy_sales()
    rows, horizons = all_samples(table)
    matrix = table.matrix(rows, horizons)
    assert matrix.shape == (len(sales) * HORIZONS, len(FEATURES))
    assert np.isnan(matrix[:, 1]).any()
    for values, row, horizon in zip(matrix, rows, horizons, strict=True):
        store, dept, origin = int(table.store[row]), int(table.dept[row]), table.origin[row].astype(date)
        of_target = calendar_features(origin + int(horizon) * WEEK)
        of_origin = feature_columns(sales, store, dept, origin)
        for value, feature in zip(values, FEATURES, strict=True):
            source = of_target if feature.view == "calendar" else of_origin
            wanted = source[feature.column.replace("{horizon}", str(horizon))]
            assert np.array_equal(value, np.nan if wanted is None else wanted, equal_nan=True), feature


def test_rows_may_come_in_any_order_and_more_than_once(table: OriginTable) -> None:
    rows, horizons = all_samples(table)
    picked = np.random.default_rng(0).integers(len(rows), size=500)
    expected = table.matrix(rows, horizons)[picked]
    np.testing.assert_array_equal(table.matrix(rows[picked], horizons[picked]), expected)


def test_no_rows_give_an_empty_matrix(table: OriginTable) -> None:
    none = np.array([], dtype=np.int64)
    assert table.matrix(none, none).shape == (0, len(FEATURES))


def test_targets_are_the_sales_of_the_target_week(table: OriginTable) -> None:
    sales = toy_sales()
    rows, horizons = all_samples(table)
    weeks = table.target_week(rows, horizons)
    for row, horizon, week in zip(rows, horizons, weeks, strict=True):
        assert week.astype(date) == table.origin[row].astype(date) + int(horizon) * WEEK
        known = sales.get((int(table.store[row]), int(table.dept[row]), week.astype(date)), np.nan)
        assert np.array_equal(table.targets[row, horizon - 1], known, equal_nan=True)


def test_samples_are_all_known_targets_of_the_weeks_asked_for(table: OriginTable) -> None:
    sales = toy_sales()
    first, last = WEEKS[-20], WEEKS[-17]
    rows, horizons = table.samples(np.datetime64(first), np.datetime64(last))
    found = {
        (int(table.store[row]), int(table.dept[row]), table.origin[row].astype(date), int(horizon))
        for row, horizon in zip(rows, horizons, strict=True)
    }
    wanted = {
        (store, dept, week - h * WEEK, h)
        for store, dept, week in sales
        for h in range(1, HORIZONS + 1)
        if first <= week <= last and (store, dept, week - h * WEEK) in sales
    }
    assert len(rows) == len(found)
    assert found == wanted
    assert rows.dtype == horizons.dtype == np.int64


def test_first_origin_leaves_out_only_older_origins(folder: Path, table: OriginTable) -> None:
    first = np.datetime64(WEEKS[-5])
    recent = read_origin_table(folder, first_origin=first)
    wanted = np.flatnonzero(table.origin >= first)
    assert 0 < len(wanted) < len(table.origin)
    np.testing.assert_array_equal(recent.origin, table.origin[wanted])
    rows, horizons = all_samples(recent)
    np.testing.assert_array_equal(recent.matrix(rows, horizons), table.matrix(wanted[rows], horizons))
    np.testing.assert_array_equal(recent.targets, table.targets[wanted])


def test_chosen_files_are_read_alone(folder: Path) -> None:
    first, *_ = series_files(folder)
    table = read_origin_table(folder, [first])
    np.testing.assert_array_equal(table.store, pq.read_table(first)["store"].to_numpy())


def test_no_files_are_not_all_files(folder: Path) -> None:
    with pytest.raises(pa.ArrowInvalid):
        read_origin_table(folder, [])


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not the features job's training data"):
        series_files(tmp_path)


def test_a_calendar_with_a_gap_is_refused(tmp_path: Path) -> None:
    folder = write_training_data(tmp_path / "data", toy_sales())
    calendar = pq.read_table(folder / "calendar.parquet")
    pq.write_table(pa.concat_tables([calendar[:9], calendar[10:]]), folder / "calendar.parquet")
    with pytest.raises(ValueError, match="every week once"):
        read_origin_table(folder)


def test_features_of_one_view_are_enough(tmp_path: Path) -> None:
    for feature in FEATURES:
        folder = write_training_data(tmp_path / feature.name, toy_sales(), [feature])
        matrix = read_origin_table(folder).matrix(np.array([3]), np.array([2]))
        assert matrix.shape == (1, 1)


def test_the_folder_of_the_features_stage_is_read_in_the_order_of_features_json(tmp_path: Path) -> None:
    tables = generate(stores=3, departments=2, weeks=70, seed=1).tables
    training_data.write(tmp_path, *(tables[of.name] for of in (SALES, STORE_WEEKS, STORES)), FeatureSet(4))
    table = read_origin_table(tmp_path)
    assert list(table.features) == FeatureSet(4).model_features
    assert table.horizon_weeks == 4
    rows = pd.concat([pd.read_parquet(file) for file in series_files(tmp_path)], ignore_index=True)
    calendar = pd.read_parquet(tmp_path / "calendar.parquet").set_index("week")
    numbers = np.arange(len(rows))
    for horizon in (1, 4):
        matrix = table.matrix(numbers, np.full(len(rows), horizon))
        target = rows["origin"] + horizon * WEEK
        for column, feature in enumerate(FeatureSet(4).model_features):
            source = calendar.loc[target].reset_index() if feature.view == "calendar" else rows
            wanted = source[feature.column.replace("{horizon}", str(horizon))]
            np.testing.assert_array_equal(matrix[:, column], wanted, err_msg=str(feature))
        np.testing.assert_array_equal(table.targets[:, horizon - 1], rows[f"target_h{horizon}"])
