"""No feature of an origin may change when anything after the origin does."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from feature_samples import Externals, Sales, random_externals, random_sales, tables_of, week
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.features import sales_history, store_features, training_data
from shelfcast.features.definitions import FeatureSet

HORIZON = 4
FEATURES = FeatureSet(HORIZON)
KEYS = ["store", "dept", "origin"]


def features(sales: Sales, externals: Externals, up_to: int) -> pa.Table:
    """Returns keys and features (no targets) of the origins up to a week, in key order."""
    tables = tables_of(sales, externals)
    inputs = training_data.prepare(tables.sales, tables.store_weeks, tables.stores)
    files = [training_data.series_rows(inputs, n, FEATURES) for n in range(training_data.SERIES_FILES)]
    rows = pa.concat_tables(files).drop_columns([f"target_h{h}" for h in range(1, HORIZON + 1)])
    early = rows.filter(pc.less_equal(rows["origin"], pa.scalar(week(up_to), pa.date32())))
    return early.sort_by([(key, "ascending") for key in KEYS])


def change_after(
    rng: np.random.Generator, sales: Sales, externals: Externals, t: int, weeks: int
) -> tuple[Sales, Externals]:
    """Returns the same up to week t, and after it other rows of other series with other values."""
    later = random_sales(rng, 10, weeks + 3, gaps=0.3)
    later_externals = random_externals(rng, weeks + 3)
    return (
        {key: value for key, value in sales.items() if key[2] <= t}
        | {key: 1e6 * value for key, value in later.items() if key[2] > t},
        {key: value for key, value in externals.items() if key[1] <= t}
        | {key: values for key, values in later_externals.items() if key[1] > t},
    )


def assert_same_bits(a: pa.Table, b: pa.Table) -> None:
    """Compares tables bit by bit."""
    assert a.schema == b.schema
    for name in a.column_names:
        left, right = a[name].combine_chunks(), b[name].combine_chunks()
        assert left.is_valid().equals(right.is_valid()), name
        if pa.types.is_floating(left.type):
            left, right = (pa.array(v.fill_null(0).to_numpy().view("i8")) for v in (left, right))
        assert left.equals(right), name


def assert_no_leak(seed: int, series: int, weeks: int, gaps: float, t: int) -> None:
    """Changes everything after week t of a random snapshot."""
    rng = np.random.default_rng(seed)
    sales = random_sales(rng, series, weeks, gaps)
    externals = random_externals(rng, weeks)
    # Without a row up to t there is nothing to compare, and no first week to count from.
    sales |= {(1, 1, 0): 7.0}
    changed = change_after(rng, sales, externals, t, weeks)
    before, after = features(sales, externals, t), features(*changed, t)
    assert len(before) > 0
    assert_same_bits(before, after)


snapshots = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "series": st.integers(1, 20),
        "weeks": st.integers(2, 120),
        "gaps": st.sampled_from([0.0, 0.1, 0.5]),
    }
)


@settings(max_examples=60, deadline=None)
@given(snapshots, st.data())
def test_features_do_not_change_with_the_future(snapshot: dict, data: st.DataObject) -> None:
    assert_no_leak(**snapshot, t=data.draw(st.integers(0, snapshot["weeks"] - 1), label="origin"))


def leak_next_week(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rolling window that is centered."""
    plain = sales_history.rolling_mean
    monkeypatch.setattr(sales_history, "rolling_mean", lambda grid, n: np.roll(plain(grid, n), -1, axis=1))


def leak_scaler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scaling by the sum of all weeks."""
    plain = sales_history.shift
    monkeypatch.setattr(sales_history, "shift", lambda grid, n: plain(grid / np.nansum(np.abs(grid)), n))


def leak_row_existence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting weeks back from the series' last row."""
    plain = sales_history._series_columns

    def columns(sales: np.ndarray) -> dict[str, np.ndarray]:
        weeks_left = (~np.isnan(sales))[:, ::-1].cumsum(axis=1)[:, ::-1]
        return plain(sales) | {"weeks_since_first": weeks_left.astype(float)}

    monkeypatch.setattr(sales_history, "_series_columns", columns)


def leak_aggregate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of the store's sales of all time."""
    plain = sales_history.aggregate

    def aggregates(grid: sales_history.SalesGrid) -> sales_history.Aggregates:
        found = plain(grid)
        level = np.full_like(found.store_mean_13, np.nansum(found.store_mean_13))
        return dataclasses.replace(found, store_mean_13=level)

    monkeypatch.setattr(training_data, "aggregate", aggregates)


def leak_externals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filling an unknown value with the next known one."""
    plain = store_features._externals

    def filled(*args: object) -> dict[str, np.ndarray]:
        found = plain(*args)
        later = {name: np.roll(values, -1, axis=1) for name, values in found.items()}
        return {name: np.where(np.isnan(v), later[name], v) for name, v in found.items()}

    monkeypatch.setattr(store_features, "_externals", filled)


@pytest.mark.parametrize(
    "plant", [leak_next_week, leak_scaler, leak_row_existence, leak_aggregate, leak_externals]
)
def test_a_planted_leak_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        assert_no_leak(seed=5, series=6, weeks=60, gaps=0.1, t=40)
