"""No feature of an origin may change when anything that is not known there does."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from feature_samples import (
    DECLARED,
    Externals,
    Extras,
    Sales,
    random_externals,
    random_extras,
    random_sales,
    tables_of,
    week,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.features import publication_lags, sales_history, store_features, training_data
from shelfcast.features.definitions import STORE_EXTERNALS, FeatureSet

HORIZON = 4
FEATURES = FeatureSet(HORIZON, DECLARED)
KEYS = ["store", "dept", "origin"]
#: Weeks from a value's own week to the end of which it is known: the promise that is put to the test.
KNOWN_AFTER = {
    **dict.fromkeys(STORE_EXTERNALS, 0),
    **{"temperature": 1, "fuel_price": 1, "cpi": 7, "unemployment": 7},
    **{column.name: column.known_after_weeks for column in DECLARED},
}


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """All that features are made of, by key."""

    sales: Sales
    externals: Externals
    extras: Extras


def features(snapshot: Snapshot, up_to: int) -> pa.Table:
    """Returns keys and features (no targets) of the origins up to a week, in key order."""
    tables = tables_of(snapshot.sales, snapshot.externals, snapshot.extras)
    inputs = training_data.prepare(tables.sales, tables.store_weeks, tables.stores, tables.extras)
    inputs = training_data.with_structural(inputs, FEATURES)
    files = [training_data.series_rows(inputs, n, FEATURES) for n in range(training_data.SERIES_FILES)]
    rows = pa.concat_tables(files).drop_columns([f"target_h{h}" for h in range(1, HORIZON + 1)])
    early = rows.filter(pc.less_equal(rows["origin"], pa.scalar(week(up_to), pa.date32())))
    return early.sort_by([(key, "ascending") for key in KEYS])


def is_known(name: str, number: int | None, t: int) -> bool:
    """Tells whether the value of week ``number`` is known at the end of week t."""
    after = KNOWN_AFTER[name]
    return number is None or after is None or number + after <= t


def change_unknown(rng: np.random.Generator, before: Snapshot, t: int, weeks: int) -> Snapshot:
    """Returns the same where it is known at t, and other rows of other series with other values elsewhere."""
    later = random_sales(rng, 10, weeks + 3, gaps=0.3)
    other_externals = random_externals(rng, weeks + 8)
    externals: Externals = {}
    for key in before.externals.keys() | other_externals.keys():
        own = before.externals.get(key, [None] * len(STORE_EXTERNALS))
        other = other_externals.get(key, [None] * len(STORE_EXTERNALS))
        externals[key] = [
            own[place] if is_known(name, key[1], t) else other[place]
            for place, name in enumerate(STORE_EXTERNALS)
        ]
    return Snapshot(
        {key: value for key, value in before.sales.items() if key[2] <= t}
        | {key: 1e6 * value for key, value in later.items() if key[2] > t},
        externals,
        {key: value for key, value in before.extras.items() if is_known(key[0], key[3], t)}
        | {
            key: value
            for key, value in random_extras(rng, DECLARED, weeks + 3).items()
            if not is_known(key[0], key[3], t)
        },
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
    """Changes everything of a random snapshot that is not known at the end of week t."""
    rng = np.random.default_rng(seed)
    # Without a row up to t there is nothing to compare, and no first week to count from.
    sales = random_sales(rng, series, weeks, gaps) | {(1, 1, 0): 7.0}
    snapshot = Snapshot(sales, random_externals(rng, weeks + 5), random_extras(rng, DECLARED, weeks))
    before, after = features(snapshot, t), features(change_unknown(rng, snapshot, t, weeks), t)
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


def leak_target_week(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rolling mean that includes the target week."""
    plain = sales_history.rolling_mean

    def with_target(grid: np.ndarray, n: int) -> np.ndarray:
        next_week = np.concatenate([grid[:, 1:], np.full((len(grid), 1), np.nan)], axis=1)
        return plain(np.where(np.isnan(next_week), grid, next_week), n)

    monkeypatch.setattr(sales_history, "rolling_mean", with_target)


def leak_filled_externals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filling an unknown value with the next known one."""
    plain = store_features._externals

    def filled(*args: object) -> dict[str, np.ndarray]:
        found = plain(*args)
        later = {name: np.roll(values, -1, axis=1) for name, values in found.items()}
        return {name: np.where(np.isnan(v), later[name], v) for name, v in found.items()}

    monkeypatch.setattr(store_features, "_externals", filled)


def leak_early(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Returns a leak that reads the column in its own week, or a week before it is known."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        plain = publication_lags.source_columns
        weeks = min(KNOWN_AFTER[name] - 1, 0)

        def sources(declared: object) -> dict[str, publication_lags.Covariate]:
            found = plain(declared)
            return {**found, name: dataclasses.replace(found[name], known_after_weeks=weeks)}

        monkeypatch.setattr(publication_lags, "source_columns", sources)
        # Covariates of series are looked up among those that the feature set declares.
        early = [dataclasses.replace(c, known_after_weeks=weeks) if c.name == name else c for c in DECLARED]
        monkeypatch.setitem(globals(), "FEATURES", FeatureSet(HORIZON, tuple(early)))

    plant.__name__ = f"leak_early_{name}"
    return plant


EARLY = ["temperature", "cpi", "unemployment", "returns_usd", "shelf_price", "planned_promo", "markdown1"]


PLANTS = [
    leak_next_week,
    leak_target_week,
    leak_scaler,
    leak_row_existence,
    leak_aggregate,
    leak_filled_externals,
    *map(leak_early, EARLY),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_leak_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        assert_no_leak(seed=5, series=6, weeks=60, gaps=0.1, t=40)
