"""The simple forecasts by hand, with what they fall back on."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from shelfcast.contracts.specs import Preset
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.intermittent import DECLARED
from shelfcast.models.network import MEDIAN
from shelfcast.models.simple import FORMULAS, SimpleForecast
from shelfcast.train.export import INPUTS, to_onnx

FEATURES = FeatureSet(4).model_features
NAMES = [feature.name for feature in FEATURES]
AGE = {"weeks_since_first": 60.0}
MEANS = {"rolling_mean_13": 130.0, "rolling_mean_52": 520.0}
YEAR_AGO = {"last_year": 200.0, "last_year_before": 100.0, "last_year_after": 300.0}


def model(preset: Preset, formula: int = 0) -> SimpleForecast:
    network = SimpleForecast(FORMULAS[preset], FEATURES, 4).eval()
    network.choose(formula)
    return network


def inputs(**values: float) -> tuple[torch.Tensor, ...]:
    features = torch.tensor([[values.get(name, torch.nan) for name in NAMES]], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.int64)
    return features, one, one, one


def median(network: SimpleForecast, **values: float) -> float:
    return float(network(*inputs(**values))[0, MEDIAN])


@pytest.mark.parametrize(
    ("preset", "formula", "values", "forecast"),
    [
        ("naive", 0, {"sales_0": 7.0, "lag_1": 6.0, **MEANS}, 7),
        ("naive", 0, {"lag_2": 5.0, "lag_52": 1.0, **MEANS}, 5),
        ("naive", 0, {"lag_52": 1.0, **MEANS}, 1),
        ("naive", 0, {**AGE, **MEANS}, 130),
        ("naive", 0, {**AGE, "rolling_mean_52": 520.0, "dept_mean_0": 40.0}, 520),
        # Only a series without any sales so far has its department's mean.
        ("naive", 0, {"dept_mean_0": 40.0, "dept_lag_1": 30.0}, 40),
        ("naive", 0, {"dept_lag_3": 30.0, "dept_mean_4": 20.0}, 30),
        ("naive", 0, {"dept_mean_4": 20.0}, 20),
        ("naive", 0, {**AGE, "dept_mean_0": 40.0}, 0),
        ("naive", 0, {}, 0),
        ("seasonal_naive", 0, {"sales_0": 7.0, "last_year": 200.0}, 200),
        ("seasonal_naive", 0, {"sales_0": 7.0}, 7),
        ("moving_average", 0, {"rolling_mean_4": 4.0, **MEANS}, 4),
        ("moving_average", 0, MEANS, 130),
        ("moving_average", 1, {"rolling_mean_4": 4.0, **MEANS}, 130),
        ("moving_average", 2, {"rolling_mean_4": 4.0, **MEANS}, 520),
        ("moving_average", 0, {"sales_0": 7.0}, 7),
        # Last year's week 200 twice, the weeks around it (100 + 400 + 300) / 4, and the mean of 13 weeks.
        ("seasonal_average", 0, {**YEAR_AGO, **MEANS}, (200 + 200 + 200 + 130) / 4),
        (
            "seasonal_average",
            0,
            {**YEAR_AGO, **MEANS, "year_on_year_13": 1.44, "dept_season": 2.0},
            (200 + 1.2 * 200 + 1.2 * 200 + 2 * 130) / 4,
        ),
        # Without last year all four are the mean of 13 weeks with the season, and growth counts nowhere.
        ("seasonal_average", 0, {**MEANS, "dept_season": 2.0, "dept_year_on_year_13": 1.44}, 260),
        ("seasonal_average", 0, MEANS, 130),
    ],
)
def test_by_hand(preset: Preset, formula: int, values: dict[str, float], forecast: float) -> None:
    assert median(model(preset, formula), **values) == pytest.approx(forecast, rel=1e-6)


def test_the_naive_forecast_repeats_the_last_week_to_the_last_bit() -> None:
    for sales in (1_270.38, 0.07, 12_345_678.9, -3.3):
        assert median(model("naive"), sales_0=sales, **MEANS) == float(np.float32(sales))


def test_the_interval_is_in_proportion_to_the_spread_and_has_a_width_without_one() -> None:
    network = model("naive")
    one, two, none, least = (
        network(*inputs(sales_0=100.0, rolling_std_13=std, rolling_mean_13=100.0)) for std in (10, 20, 0, 5)
    )
    torch.testing.assert_close(two - 100, 2 * (one - 100), rtol=0.1, atol=0)
    nothing = network(*inputs(sales_0=0.0, rolling_std_13=0.0, rolling_mean_13=0.0))
    torch.testing.assert_close(none, least)
    assert (nothing.diff() > 0).all()


def test_formulas_without_their_feature_do_not_compete() -> None:
    names = [formula.name for formula in model("simple").formulas]
    assert names == [formula.name for formula in FORMULAS["simple"] if formula.feature is None]
    assert tuple(model("croston").formulas) == FORMULAS["croston"][:1]


def test_a_missing_feature_is_an_error_before_its_formula_is_chosen() -> None:
    features = [feature for feature in FEATURES if feature.name != "last_year_after"]
    with pytest.raises(KeyError, match="last_year_after"):
        SimpleForecast(FORMULAS["simple"], features, 4)


def test_no_forecast_is_below_zero_where_nothing_ever_was() -> None:
    network = model("naive")
    values = {"sales_0": 2.0, "rolling_std_13": 10.0, "rolling_mean_13": 5.0}
    free = network(*inputs(**values))
    assert (free[0, :2] < 0).all()
    graph = to_onnx(network)
    network.non_negative = True
    bounded = network(*inputs(**values))
    torch.testing.assert_close(bounded, free.clamp(min=0), rtol=0, atol=0)
    assert to_onnx(network) != graph
    session = onnxruntime.InferenceSession(to_onnx(network), providers=["CPUExecutionProvider"])
    fed = dict(zip(INPUTS, (tensor.numpy() for tensor in inputs(**values)), strict=True))
    np.testing.assert_array_equal(session.run(["quantiles"], fed)[0], bounded.numpy())


def test_all_formulas_compete_in_the_preset_simple() -> None:
    names = [formula.name for formulas in FORMULAS.values() for formula in formulas]
    assert [formula.name for formula in FORMULAS["simple"]] == names[: len(names) // 2]
    network = model("simple")
    for number, formula in enumerate(network.formulas):
        network.choose(number)
        values = {"sales_0": 7.0, "rolling_mean_4": 4.0, **MEANS, **YEAR_AGO}
        forecasts = network.forecasts(inputs(**values)[0])
        assert median(network, **values) == float(forecasts[number, 0])
        assert network.chosen is formula


def test_the_upper_bound_of_an_intermittent_series_is_above_zero() -> None:
    features = FeatureSet(4, (DECLARED,)).model_features
    names = [feature.name for feature in features]
    quiet = {**AGE, "sales_0": 0.0, "rolling_mean_13": 0.0, "rolling_mean_52": 2.0}
    quiet |= {"rolling_std_13": 0.0, "rolling_std_52": 8.0, "croston_10": 3.0, "tsb_10": 1.0}
    row = torch.tensor([[quiet.get(name, torch.nan) for name in names]], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.int64)
    network = SimpleForecast(FORMULAS["simple"], features, 4).eval()
    network.non_negative = True
    network.members[0].prepare.floor_usd.zero_()
    medians = {}
    for number, formula in enumerate(network.formulas):
        network.choose(number)
        low, *_, high = network(row, one, one, one)[0].tolist()
        medians[formula.name] = float(network(row, one, one, one)[0, MEDIAN])
        assert low >= 0
        assert high > 8
    assert (medians["croston with 10 %"], medians["tsb with 10 %"]) == (3, 1)
    assert medians["croston with 5 %"] == 2
    assert len(medians) == 13
