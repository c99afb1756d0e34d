"""Features that look at the week of last year with the same holiday, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from feature_samples import random_sales, tables_of, week

from shelfcast.features import training_data
from shelfcast.features.definitions import MAX_HORIZON_WEEKS, FeatureSet
from shelfcast.features.own_holidays import COVARIATES, FEATURES, MAX_WEEKS_BACK, MIN_WEEKS_BACK, WEEKS_BACK
from shelfcast.features.training_data import Inputs

WEEKS = 140


def inputs_of(seed: int, change_after: int = WEEKS) -> Inputs:
    """Returns random sales and weeks back; sales after ``change_after`` are others."""
    rng = np.random.default_rng(seed)
    sales = random_sales(rng, 8, WEEKS, 0.1)
    sales |= {(1, 1, n): float(n) for n in range(WEEKS)}
    extras = {
        (WEEKS_BACK, store, 0, n): float(rng.integers(MIN_WEEKS_BACK, MAX_WEEKS_BACK + 1))
        for store in range(1, 5)
        for n in range(WEEKS + 20)
        if rng.random() < 0.9
    }
    sales = {key: value + 7 * (key[2] > change_after) for key, value in sales.items()}
    tables = tables_of(sales, {}, extras)
    return training_data.prepare(tables.sales, tables.store_weeks, tables.stores, tables.extras)


def columns_of(inputs: Inputs, horizon_weeks: int) -> dict[str, np.ndarray]:
    features = FeatureSet(horizon_weeks, COVARIATES)
    rows = training_data.series_rows(training_data.with_structural(inputs, features), 0, features)
    return {name: rows[name].to_numpy() for name in rows.column_names}


@pytest.mark.parametrize("horizon_weeks", [8, MAX_HORIZON_WEEKS])
def test_they_are_as_a_plain_loop_computes_them(horizon_weeks: int) -> None:
    inputs = inputs_of(1)
    columns, grid = columns_of(inputs, horizon_weeks), inputs.grid
    part, found = inputs.part(0, training_data.SERIES_FILES), 0
    rows = [(s, t) for s in range(len(part.grid.store)) for t in range(WEEKS) if part.grid.has_row[s, t]]
    backs = inputs.store_features.externals[WEEKS_BACK]
    for row, (s, t) in enumerate(rows):
        store = int(np.searchsorted(inputs.store_features.stores, part.grid.store[s]))
        for h in range(1, horizon_weeks + 1):
            back = backs[store, t + h]
            source = -1 if np.isnan(back) or h > MIN_WEEKS_BACK else int(t + h - back)
            expected = part.grid.sales[s, source] if source >= 0 else np.nan
            assert np.array_equal(columns[f"last_year_alike_h{h}"][row], expected, equal_nan=True)
            department = np.nanmean(grid.sales[grid.dept == part.grid.dept[s]], axis=0) if source >= 0 else []
            if source >= 0 and t >= 64:
                season = department[source] / np.nanmean(department[t - 64 : t - 51])
                assert columns[f"dept_season_alike_h{h}"][row] == pytest.approx(season, nan_ok=True)
                found += 1
    assert found > 100


def test_a_change_after_the_origin_changes_no_bit() -> None:
    before, after = columns_of(inputs_of(2), 50), columns_of(inputs_of(2, change_after=99), 50)
    known = before["origin"] <= np.datetime64(week(99))
    assert known.sum() > 50
    for name in before:
        if "alike" in name or "structural" in name:
            assert before[name][known].tobytes() == after[name][known].tobytes()


def test_they_exist_only_with_own_holidays() -> None:
    plain = {feature.name for feature in FeatureSet(8).model_features}
    own = {feature.name for feature in FeatureSet(8, COVARIATES).model_features}
    assert own - plain == FEATURES
    assert not plain & FEATURES
