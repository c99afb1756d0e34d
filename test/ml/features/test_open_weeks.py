"""Weeks in which a store or a series is shut, or out of stock, leave no trace in features and targets."""

from __future__ import annotations

import filecmp
from pathlib import Path

import numpy as np
import pytest
from feature_samples import Sales, extras_table, tables_of

from shelfcast.features import training_data
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.open_weeks import AVAILABLE, OPEN
from shelfcast.features.sales_history import SalesGrid
from shelfcast.features.samples import OriginTable, read_origin_table
from shelfcast.features.training_data import ForecastRequest
from shelfcast.snapshot import Covariate

WEEKS, SHUT = 70, (9, 30, 69)


def write(folder: Path, of: str, in_closed_week: float | None) -> OriginTable:
    """Writes sales of two stores with two departments; store 2, or its department 1, is shut in ``SHUT``."""
    sales: Sales = {(s, d, n): 10.0 * s + d + n % 7 for s in (1, 2) for d in (1, 2) for n in range(WEEKS)}
    depts = (1, 2) if of == "store_week" else (1,)
    for key in [(2, dept, week) for dept in depts for week in SHUT]:
        if in_closed_week is None:
            del sales[key]
        else:
            sales[key] = in_closed_week
    dept = 0 if of == "store_week" else 1
    closures = {(OPEN, 2, dept, week): float(week not in SHUT) for week in range(3, WEEKS + 4)}
    folder.mkdir()
    tables = tables_of(sales, {})
    features = FeatureSet(2, (Covariate(OPEN, of, -2, "open"),))  # type: ignore[arg-type]
    training_data.write(
        folder, tables.sales, tables.store_weeks, tables.stores, features, extras_table(closures)
    )
    return read_origin_table(folder)


@pytest.mark.parametrize("of", ["series_week", "store_week"])
def test_the_sales_of_a_closed_week_change_nothing(tmp_path: Path, of: str) -> None:
    for name, sales in (("zero", 0.0), ("some", 12.5), ("none", None)):
        write(tmp_path / name, of, sales)
    files = [path.name for path in (tmp_path / "zero").iterdir()]
    for other in ("some", "none"):
        same, *different = filecmp.cmpfiles(tmp_path / "zero", tmp_path / other, files, shallow=False)
        assert (len(same), different) == (18, [[], []])


@pytest.mark.parametrize("of", ["series_week", "store_week"])
def test_a_closed_week_is_an_origin_and_no_target(tmp_path: Path, of: str) -> None:
    table = write(tmp_path / "data", of, 0.0)
    names = [feature.name for feature in table.features]
    rows = np.flatnonzero((table.store == 2) & (table.dept == 1))
    matrix = table.matrix(rows, np.ones_like(rows))
    sales, lag, mean, ahead = (
        matrix[:, names.index(name)] for name in ("sales_0", "lag_1", "rolling_mean_4", "open_ahead")
    )
    assert len(rows) == WEEKS
    assert [n for n in range(WEEKS) if np.isnan(sales[n])] == list(SHUT)
    assert [n for n in range(1, WEEKS) if np.isnan(lag[n])] == [n + 1 for n in SHUT[:2]]
    assert [n for n in range(WEEKS - 1) if np.isnan(table.targets[rows[n], 0])] == [n - 1 for n in SHUT]
    assert mean[9] == pytest.approx(np.mean([21 + n % 7 for n in (6, 7, 8)]))
    assert [n for n in range(WEEKS) if ahead[n] == 0] == [n - 1 for n in SHUT]
    # Another department of the store is shut only with the store.
    other = np.flatnonzero((table.store == 2) & (table.dept == 2))
    assert np.isnan(table.fixed[other][:, names.index("sales_0")]).sum() == (3 if of == "store_week" else 0)


@pytest.mark.parametrize("of", ["series_week", "store_week"])
def test_a_store_that_is_shut_shuts_all_its_series_also_those_without_sales(tmp_path: Path, of: str) -> None:
    sales: Sales = {(s, d, n): 10.0 for s in (1, 2) for d in (1, 2) for n in range(WEEKS)}
    # Store 2 closes, and store 3, which has no sales yet, opens two weeks after the newest.
    shut = [(2, WEEKS), (2, WEEKS + 1), (3, WEEKS)]
    closures = {(OPEN, store, 0, week): 0.0 for store, week in shut} | {(OPEN, 1, 1, WEEKS): 0.0}
    tables = tables_of(sales, {})
    features = FeatureSet(2, (Covariate(OPEN, of, -52, "open"),))  # type: ignore[arg-type]
    new = ForecastRequest(new_series=((3, 1),))
    training_data.write(
        tmp_path, tables.sales, tables.store_weeks, tables.stores, features, extras_table(closures), new
    )
    table = read_origin_table(tmp_path)
    ahead = [feature.name for feature in table.features].index("open_ahead")
    newest = np.flatnonzero(table.origin == table.origin.max())
    found = {}
    for store, dept, row in zip(table.store[newest], table.dept[newest], newest, strict=True):
        values = table.matrix(np.array([row, row]), np.array([1, 2]))[:, ahead]
        found[int(store), int(dept)] = (values == 0).tolist()
    of_series = of == "series_week"
    assert found == {
        (1, 1): [of_series, False],
        (1, 2): [False, False],
        (2, 1): [True, True],
        (2, 2): [True, True],
        (3, 1): [True, False],
    }


def test_a_week_without_stock_is_unknown_and_has_a_forecast(tmp_path: Path) -> None:
    sales: Sales = {(s, d, n): 10.0 * s + d + n % 7 for s in (1, 2) for d in (1, 2) for n in range(WEEKS)}
    shares = {9: 0.99, 30: 0.0, 69: 0.5, 70: 0.0, 40: 1.0}
    rows = extras_table({(AVAILABLE.name, 2, 1, week): share for week, share in shares.items()})
    features = FeatureSet(2, (AVAILABLE,))
    tables = {}
    for name, sold in (("sold out", 0.5), ("nothing", None)):
        (tmp_path / name).mkdir()
        for week in SHUT:
            sales[2, 1, week] = sold or 0.0
        one = tables_of(sales, {})
        training_data.write(tmp_path / name, one.sales, one.store_weeks, one.stores, features, rows)
        tables[name] = read_origin_table(tmp_path / name)
    for part in ("targets", "fixed", "ahead"):
        np.testing.assert_array_equal(getattr(tables["sold out"], part), getattr(tables["nothing"], part))
    table = tables["nothing"]
    names = [feature.name for feature in table.features]
    assert names == [feature.name for feature in FeatureSet(2).model_features]
    of_series = (table.store == 2) & (table.dept == 1)
    known = ~np.isnan(table.fixed[of_series][:, names.index("sales_0")])
    assert [n for n in range(WEEKS) if not known[n]] == list(SHUT)
    assert np.isnan(table.fixed[~of_series][:, names.index("sales_0")]).sum() == 0
    assert table.hidden_weeks == 3


def test_a_series_ends_after_a_year_out_of_stock_and_a_closed_store_does_not() -> None:
    weeks = 4 + 2 * 52
    names = (
        "never in stock again",
        "shut for two years",
        "shut once while out of stock",
        "back after a year",
    )
    closed, out_of_stock = np.zeros((2, len(names), weeks), dtype=bool)
    out_of_stock[0, 4:] = True
    closed[1, 4:] = True
    out_of_stock[1, 4:] = True
    out_of_stock[2, 4:] = True
    closed[2, [20, 90]] = True
    out_of_stock[3, 4:60] = True
    numbers = np.arange(len(names))
    days = np.datetime64("2024-01-05") + 7 * np.arange(weeks)
    sales = np.ones((len(names), weeks))
    whole = SalesGrid(numbers, numbers, days, sales, np.zeros_like(closed))
    grid = whole.without(closed, out_of_stock)
    rows = dict(zip(names, (np.flatnonzero(row).tolist() for row in grid.has_row), strict=True))
    assert rows == {
        "never in stock again": [*range(4 + 52)],
        "shut for two years": [*range(weeks)],
        # Its closed week is no week out of stock, and none revives it.
        "shut once while out of stock": [*range(4 + 53)],
        "back after a year": [*range(4 + 52), *range(60, weeks)],
    }
    # Later weeks change no row.
    early = SalesGrid(numbers, numbers, days[:57], sales[:, :57], np.zeros_like(closed[:, :57]))
    before = early.without(closed[:, :57], out_of_stock[:, :57])
    np.testing.assert_array_equal(before.has_row, grid.has_row[:, :57])
