from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from shelfcast.backtest.scores import slices as slices_of_rows
from shelfcast.contracts.results import SliceNotScored
from shelfcast.contracts.wire import encode
from shelfcast.evaluate.backtest import Backtest
from shelfcast.evaluate.metrics import (
    bias,
    coverage,
    mase,
    pinball,
    rmse,
    score,
    score_slices,
    slices_of,
    wape,
    wmae,
)
from shelfcast.ids import PLAIN_IDS, Ids

ACTUAL = np.array([100.0, 200.0, -50.0, 0.0])
FORECAST = np.array([110.0, 180.0, -50.0, 6.0])  # errors 10, -20, 0, 6
HOLIDAY = np.array([True, False, False, False])
INTERVAL = np.array([[100.0, 120.0], [150.0, 199.0], [-60.0, -50.0], [1.0, 9.0]])


def backtest(rows: int) -> Backtest:
    number = np.arange(rows)
    actual = 10.0 * (number + 1)
    return Backtest(
        row=number,
        store=number,
        dept=number,
        horizon=number % 2 + 1,
        target_week=np.full(rows, np.datetime64("2025-11-28")),
        actual=actual,
        holiday=number == 0,
        store_type=np.where(number < 2, 1.0, 3.0),
        mean_sales=100.0 - number,
        age_weeks=np.where(number == 3, np.nan, 50.0 + number),
        scale=np.where(number == 1, np.nan, 2.0),
        forecasts={"candidate": actual + number, "naive": actual - 2},
        quantiles={"candidate": (actual[:, None] + [-2.0, -1.0, 4.0, 8.0, 9.0]).astype(np.float32)},
        quantile_levels={"candidate": (0.025, 0.1, 0.5, 0.9, 0.975)},
        left_out=[],
        found=rows,
    )


def everything(of: Backtest) -> np.ndarray:
    return np.full(len(of.row), True)


def test_wmae_weighs_holiday_weeks_five_times() -> None:
    assert wmae(FORECAST, ACTUAL, HOLIDAY) == pytest.approx((5 * 10 + 20 + 0 + 6) / (5 + 1 + 1 + 1))
    assert wmae(FORECAST, ACTUAL, ~HOLIDAY) == pytest.approx((10 + 5 * 20 + 0 + 5 * 6) / (1 + 5 + 5 + 5))
    assert wmae(FORECAST, ACTUAL, HOLIDAY & False) == pytest.approx(9)


def test_wape_divides_by_absolute_actuals() -> None:
    assert wape(FORECAST, ACTUAL) == pytest.approx(36 / 350)


def test_rmse_and_bias() -> None:
    assert rmse(FORECAST, ACTUAL) == pytest.approx(np.sqrt((100 + 400 + 0 + 36) / 4))
    assert bias(FORECAST, ACTUAL) == pytest.approx((10 - 20 + 0 + 6) / 4)


def test_coverage_counts_both_ends() -> None:
    assert coverage(INTERVAL, ACTUAL) == 2 / 4


def test_mase_is_in_units_of_the_naive_error() -> None:
    assert mase(FORECAST, ACTUAL, np.array([5.0, 10.0, 1.0, 3.0])) == pytest.approx((2 + 2 + 0 + 2) / 4)


def test_pinball_weighs_the_side_that_is_rarer() -> None:
    # Errors of the quantile -10, 20, 0, -6: above it counts 0.1, below it 0.9.
    assert pinball(FORECAST, ACTUAL, 0.1) == pytest.approx((0.9 * 10 + 0.1 * 20 + 0 + 0.9 * 6) / 4)


def test_score_of_hand_computed_rows() -> None:
    # Candidate errors 0, 1, 2, 3; last week 2 everywhere, below; the first row is the holiday.
    # The second row has no naive error, the others 2.
    # The quantiles are 2 and 1 below, 4, 8 and 9 above the actual.
    of = backtest(4)
    scores = score(of, everything(of))
    assert encode(scores["candidate"]) == {
        "wmae": pytest.approx(6 / 8),
        "wape": pytest.approx(6 / 100),
        "mase": pytest.approx((0 + 2 + 3) / 2 / 3),
        "rmse": pytest.approx(np.sqrt(14 / 4)),
        "bias": pytest.approx(6 / 4),
        "pinball": pytest.approx((0.025 * 2 + 0.1 * 1 + 0.5 * 4 + 0.1 * 8 + 0.025 * 9) / 5),
        "coverage80": 1.0,
        "coverage95": 1.0,
        "rows": 4,
    }
    assert encode(scores["naive"]) == {
        "wmae": pytest.approx(2),
        "wape": pytest.approx(8 / 100),
        "mase": pytest.approx(1),
        "rmse": pytest.approx(2),
        "bias": pytest.approx(-2),
        "pinball": None,
        "coverage80": None,
        "coverage95": None,
        "rows": 4,
    }


def test_score_uses_the_chosen_rows_only() -> None:
    of = backtest(4)
    scores = score(of, of.row >= 2)
    assert scores["candidate"].rows == 2
    assert scores["candidate"].bias == pytest.approx(2.5)
    assert scores["candidate"].wape == pytest.approx(5 / 70)


def test_a_model_of_three_quantiles_has_no_95_percent_interval() -> None:
    of = backtest(4)
    three = {"candidate": of.quantiles["candidate"][:, 1:4]}
    found = score(
        replace(of, quantiles=three, quantile_levels={"candidate": (0.1, 0.5, 0.9)}), everything(of)
    )
    assert found["candidate"].coverage80 == 1.0
    assert found["candidate"].coverage95 is None
    assert found["candidate"].pinball == pytest.approx((0.1 * 1 + 0.5 * 4 + 0.1 * 8) / 3)


def test_each_interval_is_read_from_the_columns_of_its_levels() -> None:
    # 1, 2, 4 and 8 actuals lie between neighbouring quantiles and one above all: every pair of columns has
    # another coverage.
    actual = np.repeat([1.5, 2.5, 3.5, 4.5, 5.5], [1, 2, 4, 8, 1])
    quantiles = np.tile(np.float32([1, 2, 3, 4, 5]), (len(actual), 1))
    of = replace(backtest(len(actual)), actual=actual, quantiles={"candidate": quantiles})
    metrics = score(of, everything(of))["candidate"]
    assert metrics.coverage80 == 6 / 16
    assert metrics.coverage95 == 15 / 16


def test_no_naive_error_at_all_is_no_mase() -> None:
    of = replace(backtest(4), scale=np.full(4, np.nan))
    assert score(of, everything(of))["candidate"].mase is None


def test_without_any_sales_there_is_no_relative_error() -> None:
    of = replace(backtest(4), actual=np.zeros(4))
    found = score(of, everything(of))["naive"]
    assert found.wape is None
    assert found.wmae == pytest.approx((5 * 8 + 18 + 28 + 38) / 8)


def test_no_row_has_no_metrics() -> None:
    of = backtest(4)
    assert score(of, ~everything(of)) == {}


def test_slices_of_hand_made_rows() -> None:
    found = {name: np.flatnonzero(rows).tolist() for name, rows in slices_of(backtest(6), 3).items()}
    assert found == {
        "store_type=A": [0, 1],
        "store_type=C": [2, 3, 4, 5],
        "holiday=true": [0],
        "holiday=false": [1, 2, 3, 4, 5],
        # Row 0 belongs to the series that sells most.
        "volume=low": [4, 5],
        "volume=medium": [2, 3],
        "volume=high": [0, 1],
        # Here each row is a department.
        "dept_group=low": [4, 5],
        "dept_group=medium": [2, 3],
        "dept_group=high": [0, 1],
        # 50 and 51 weeks old, and one of which no age is known.
        "cold_start=true": [3],
        "new_series=true": [0, 1, 3],
        "new_series=false": [2, 4, 5],
        "horizon=1": [0, 2, 4],
        "horizon=2": [1, 3, 5],
        "horizon=3": [],
    }


def test_slices_of_store_types_have_the_types_of_the_data() -> None:
    types = np.array([1.0, 2.0, 2.0, 27.0, np.nan, np.nan])
    of = replace(backtest(6), store_type=types, ids=Ids({"type": {2: "mall", 27: "NA "}}))
    found = slices_of(of, 0)
    assert {name: np.flatnonzero(rows).tolist() for name, rows in found.items() if "type" in name} == {
        "store_type=A": [0],
        "store_type=mall": [1, 2],
        "store_type=NA ": [3],
        "store_type=NA": [4, 5],
    }


def test_only_the_most_frequent_types_have_slices() -> None:
    types = np.repeat(np.arange(1.0, 31.0), np.where(np.arange(30) == 7, 1, 2))[:59]
    of = replace(backtest(59), store_type=types, ids=Ids({"type": {n: f"type {n}" for n in range(1, 31)}}))
    named = [name for name in slices_of(of, 0) if name.startswith("store_type=")]
    assert named == [f"store_type=type {n}" for n in range(1, 28) if n != 8]


def test_the_backtest_command_has_the_same_slices() -> None:
    of = backtest(6)
    columns = ("store_type", "holiday", "mean_sales", "dept", "age_weeks", "row")
    found = slices_of_rows(pd.DataFrame({name: getattr(of, name) for name in columns}), PLAIN_IDS)
    wanted = {name: np.flatnonzero(rows).tolist() for name, rows in slices_of(of, 0).items()}
    assert {name: rows["row"].tolist() for name, rows in found.items()} == wanted


def test_equal_sellers_are_all_in_the_lowest_third() -> None:
    found = slices_of(replace(backtest(6), mean_sales=np.full(6, 5.0)), 2)
    assert found["volume=low"].all()
    assert not found["volume=medium"].any()
    assert not found["volume=high"].any()


def test_series_whose_mean_is_unknown_count_as_the_smallest() -> None:
    of = backtest(6)
    unknown = replace(of, mean_sales=np.where(of.row < 2, np.nan, of.mean_sales))
    assert np.flatnonzero(slices_of(unknown, 2)["volume=low"]).tolist() == [0, 1]


def test_departments_are_grouped_by_their_sum_not_by_rows() -> None:
    # The three small rows of department 9 together are more than the one row of any other.
    of = backtest(6)
    summed = replace(of, dept=np.array([1, 2, 3, 9, 9, 9]), mean_sales=np.array([20.0, 30, 40, 15, 15, 15]))
    assert np.flatnonzero(slices_of(summed, 2)["dept_group=high"]).tolist() == [3, 4, 5]


def test_slices_that_cannot_be_scored_are_named_with_the_reason() -> None:
    of = backtest(6)
    of = replace(of, actual=np.where(of.holiday, 0.0, of.actual))
    scores, not_scored = score_slices(of, slices_of(of, 3))
    assert not_scored == [
        SliceNotScored(slice="holiday=true", reason="all its actual sales are 0"),
        SliceNotScored(slice="horizon=3", reason="no row that every forecaster can forecast"),
    ]
    assert "holiday=true" not in scores
    assert scores["holiday=false"]["candidate"].rows == 5
    assert scores["store_type=A"]["candidate"].rows == 2
