"""The effect of plans, once more from a dictionary, and without a look into the future."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.features.definitions import FeatureSet
from shelfcast.features.own_holidays import COVARIATES
from shelfcast.features.planned_lift import lift_columns
from shelfcast.features.weekly_values import Grid
from shelfcast.snapshot import Covariate

HORIZON, AHEAD = 4, 3


def random_grids(seed: int, weeks: int, values: int) -> tuple[Grid, Grid, Grid]:
    """Returns sales, a plan known three weeks ahead and one known four weeks ahead; with gaps."""
    rng = np.random.default_rng(seed)
    plans = rng.integers(0, values, (2, 3, weeks + HORIZON)).astype(float)
    plans[rng.random(plans.shape) < 0.1] = np.nan
    sales = 100 * rng.lognormal(0, 0.2, (3, weeks)) * np.where(plans[0, :, :weeks] == 1, 4, 1)
    sales[rng.random(sales.shape) < 0.1] = np.nan
    return np.where(rng.random(sales.shape) < 0.05, 0.0, sales), plans[0], plans[1]


def effect(sales: Sequence[float], plan: Sequence[float], t: int, value: float) -> float:
    """Returns the effect of a value up to week t, NaN where fewer than three weeks tell it."""
    pairs = []
    for week in range(t + 1):
        before = [x for x in sales[max(0, week - 13) : week] if not np.isnan(x)]
        usual = statistics.median(before) if before else 0.0
        if plan[week] == value and not np.isnan(sales[week]) and usual > 0:
            pairs.append((sales[week], usual))
    return sum(p[0] for p in pairs) / sum(p[1] for p in pairs) if len(pairs) >= 3 else np.nan


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 20, 60]), st.sampled_from([1, 2, 3]))
def test_the_effect_is_that_of_weeks_with_the_same_value(seed: int, weeks: int, values: int) -> None:
    sales, first, second = random_grids(seed, weeks, values)
    columns = lift_columns(sales, [(first, AHEAD), (second, HORIZON)], HORIZON)
    assert list(columns) == [f"planned_lift_h{h}" for h in range(1, HORIZON + 1)]
    for h in range(1, HORIZON + 1):
        for row in range(len(sales)):
            for t in range(weeks):
                found = [
                    effect(sales[row], plan[row], t, plan[row, t + h])
                    for plan, ahead in ((first, AHEAD), (second, HORIZON))
                    if h <= ahead
                ]
                known = [value for value in found if not np.isnan(value)]
                strongest = max(known, key=lambda value: abs(np.log(max(value, 1e-9))), default=np.nan)
                assert columns[f"planned_lift_h{h}"][row, t] == pytest.approx(strongest, nan_ok=True)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 59))
def test_no_bit_changes_with_the_future(seed: int, t: int) -> None:
    sales, first, second = random_grids(seed, 60, 3)
    before = lift_columns(sales, [(first, AHEAD), (second, HORIZON)], HORIZON)
    rng = np.random.default_rng(seed + 1)
    sales, first, second = sales.copy(), first.copy(), second.copy()
    sales[:, t + 1 :] = 1e6 * rng.random((3, 59 - t))
    for plan, ahead in ((first, AHEAD), (second, HORIZON)):
        # Other numbers of values, too: their codes change.
        plan[:, t + 1 + ahead :] = rng.integers(-5, 9, plan[:, t + 1 + ahead :].shape)
    after = lift_columns(sales, [(first, AHEAD), (second, HORIZON)], HORIZON)
    for name in before:
        assert before[name][:, : t + 1].tobytes() == after[name][:, : t + 1].tobytes()


def test_only_plans_have_the_feature() -> None:
    def names(*covariates: Covariate) -> set[str]:
        return {feature.name for feature in FeatureSet(2, covariates).features}

    promo = Covariate("promo", "series_week", -2, "leaflet")
    assert "planned_lift" in names(promo)
    for other in (
        Covariate("visitors", "store_week", 0, "visitors"),
        Covariate("parking", "store", None, "parking"),
        Covariate("open", "store_week", -2, "open"),
    ):
        assert "planned_lift" not in names(other)
    assert "planned_lift" not in names(*COVARIATES)
