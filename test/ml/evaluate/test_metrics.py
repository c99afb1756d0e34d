from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shelfcast.evaluate.backtest import Backtest
from shelfcast.evaluate.metrics import bias, coverage, rmse, score, score_slices, slices, wape, wmae
from shelfcast.job import UserError

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
        forecasts={"candidate": actual + number, "last_week": actual - 2},
        intervals={"candidate": np.stack([actual - 1, actual + 1], axis=1)},
        quantiles=np.zeros((rows, 3), np.float32),
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


def test_score_of_hand_computed_rows() -> None:
    # Candidate errors 0, 1, 2, 3; last week 2 everywhere, below; the first row is the holiday.
    of = backtest(4)
    scores = score(of, everything(of), "it")
    assert scores["candidate"] == {
        "wmae": pytest.approx(6 / 8),
        "wape": pytest.approx(6 / 100),
        "rmse": pytest.approx(np.sqrt(14 / 4)),
        "bias": pytest.approx(6 / 4),
        "coverage80": 1.0,
        "rows": 4,
    }
    assert scores["last_week"] == {
        "wmae": pytest.approx(2),
        "wape": pytest.approx(8 / 100),
        "rmse": pytest.approx(2),
        "bias": pytest.approx(-2),
        "coverage80": None,
        "rows": 4,
    }


def test_score_uses_the_chosen_rows_only() -> None:
    of = backtest(4)
    scores = score(of, of.row >= 2, "it")
    assert scores["candidate"]["rows"] == 2
    assert scores["candidate"]["bias"] == pytest.approx(2.5)
    assert scores["candidate"]["wape"] == pytest.approx(5 / 70)


def test_no_sales_to_score_is_an_error_with_a_sentence() -> None:
    of = replace(backtest(4), actual=np.zeros(4))
    with pytest.raises(UserError, match="the backtest cannot be scored: its 4 rows hold no sales") as caught:
        score(of, everything(of), "the backtest")
    assert caught.value.type == "BadData"
    with pytest.raises(UserError, match="its 0 rows"):
        score(of, ~everything(of), "the backtest")


def test_slices_of_hand_made_rows() -> None:
    found = {name: np.flatnonzero(rows).tolist() for name, rows in slices(backtest(6)).items()}
    assert found == {
        "store_type=A": [0, 1],
        "store_type=C": [2, 3, 4, 5],
        "holiday=true": [0],
        "holiday=false": [1, 2, 3, 4, 5],
        # Row 0 belongs to the series that sells most.
        "volume=low": [4, 5],
        "volume=medium": [2, 3],
        "volume=high": [0, 1],
        "horizon=1": [0, 2, 4],
        "horizon=2": [1, 3, 5],
    }


def test_a_slice_without_rows_is_absent() -> None:
    of = replace(backtest(6), holiday=np.full(6, False), mean_sales=np.full(6, 5.0))
    names = set(slices(of))
    assert "holiday=true" not in names
    # Equal sellers are all in the lowest third.
    assert {name for name in names if name.startswith("volume")} == {"volume=low"}


def test_a_slice_without_sales_is_named_but_not_scored() -> None:
    of = backtest(6)
    of = replace(of, actual=np.where(of.holiday, 0.0, of.actual))
    scores, without_sales = score_slices(of)
    assert without_sales == ["holiday=true"]
    assert "holiday=true" not in scores
    assert scores["holiday=false"]["candidate"]["rows"] == 5
    assert scores["store_type=A"]["candidate"]["rows"] == 2
