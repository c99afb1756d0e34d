"""Forecasts of intermittent series, once more one value at a time, and the data that have them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.features.definitions import FeatureSet
from shelfcast.features.intermittent import CONSTANTS, DECLARED, FEATURES, intermittent_columns
from shelfcast.features.preset_features import preset_features


def croston(sales: Sequence[float], a: float) -> float:
    """Returns the Syntetos-Boylan forecast after the last week."""
    size, interval, waited = math.nan, math.nan, 0
    for value in sales:
        if math.isnan(value):
            continue
        waited += 1
        if value > 0:
            size = value if math.isnan(size) else a * value + (1 - a) * size
            interval = waited if math.isnan(interval) else a * waited + (1 - a) * interval
            waited = 0
    return (1 - a / 2) * size / interval


def tsb(sales: Sequence[float], a: float) -> float:
    """Returns the forecast of Teunter, Syntetos and Babai after the last week."""
    size, chance, weeks = math.nan, math.nan, 0
    for value in sales:
        if math.isnan(value):
            continue
        weeks += 1
        if math.isnan(size):
            size, chance = (value, 1 / weeks) if value > 0 else (size, chance)
        else:
            chance = a * (value > 0) + (1 - a) * chance
            size = a * value + (1 - a) * size if value > 0 else size
    return chance * size


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_each_week_has_the_forecast_of_the_weeks_up_to_it(seed: int, weeks: int) -> None:
    rng = np.random.default_rng(seed)
    sales = rng.choice([0, 0, 0, -5, 20, 300, np.nan], (3, weeks))
    columns = intermittent_columns(sales)
    assert tuple(columns) == FEATURES
    for method, name in ((croston, "croston"), (tsb, "tsb")):
        for percent in CONSTANTS:
            for row in range(3):
                expected = [method(sales[row, : t + 1], percent / 100) for t in range(weeks)]
                found = columns[f"{name}_{percent}"][row]
                assert found.tolist() == pytest.approx(expected, rel=1e-9, nan_ok=True)


def test_an_ended_series_falls_by_tsb_only() -> None:
    sales = np.array([[50.0, 0, 50, 0] * 5 + [0] * 20])
    columns = intermittent_columns(sales)
    assert columns["croston_10"][0, 39] == columns["croston_10"][0, 19]
    assert columns["tsb_10"][0, 39] == pytest.approx(columns["tsb_10"][0, 19] * 0.9**20)


def test_only_data_with_the_mark_have_the_features() -> None:
    plain, marked = FeatureSet(2), FeatureSet(2, (DECLARED,))
    names = [feature.name for feature in plain.features]
    assert [f.name for f in marked.features if f.name not in FEATURES] == names
    assert {f.name for f in marked.features} - set(names) == set(FEATURES)
    for preset in ("croston", "tsb", "simple"):
        used = {feature.name for feature in preset_features(preset, marked)}
        assert {name for name in FEATURES if name.startswith(preset) or preset == "simple"} <= used
    # A network reads what it reads without the mark.
    assert preset_features("global", marked) == preset_features("global", plain)
