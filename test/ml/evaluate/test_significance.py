from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shelfcast.contracts.results import SliceNotScored
from shelfcast.evaluate.backtest import Backtest
from shelfcast.evaluate.significance import OVERALL, Comparison, compare

SERIES, WEEKS = 60, 12


def backtest(candidate: np.ndarray, reference: np.ndarray, *, holiday_week: int | None = None) -> Backtest:
    """Returns one row a series and week, of actual sales 1,000 and these absolute errors [SERIES, WEEKS]."""
    series, week = (places.ravel() for places in np.indices(candidate.shape))
    count = len(series)
    actual = np.full(count, 1_000.0)
    return Backtest(
        row=np.arange(count),
        store=series // 10,
        dept=series % 10,
        horizon=np.ones(count, np.int64),
        target_week=np.datetime64("2025-01-03") + 7 * week,
        actual=actual,
        holiday=week == holiday_week,
        store_type=np.ones(count),
        mean_sales=actual,
        age_weeks=np.full(count, 99.0),
        scale=np.ones(count),
        forecasts={"candidate": actual + candidate.ravel(), "naive": actual - reference.ravel()},
        quantiles={},
        quantile_levels={},
        left_out=[],
        found=count,
    )


def only(of: Backtest) -> Comparison:
    ((found,), not_compared) = compare(of, {OVERALL: np.full(len(of.row), True)})
    assert not_compared == []
    return found


def shared(random: np.random.Generator, *, by_series: float, by_week: float, by_row: float) -> np.ndarray:
    """Returns noise that rows of a series, and rows of a week, have in common."""
    return (
        by_series * random.standard_normal((SERIES, 1))
        + by_week * random.standard_normal((1, WEEKS))
        + by_row * random.standard_normal((SERIES, WEEKS))
    )


def test_difference_is_a_share_of_the_others_wmae() -> None:
    candidate, reference = np.full((2, 3), 80.0), np.full((2, 3), 100.0)
    candidate[:, 1] = 200.0
    found = only(backtest(candidate, reference, holiday_week=1))
    # The holiday week weighs 5.
    assert found.difference == pytest.approx((5 * 200 + 2 * 80) / (7 * 100) - 1)
    # The gate has other margins for the slice of this name.
    assert (found.slice, found.against) == ("overall", "naive")
    assert (found.rows, found.series, found.weeks) == (6, 2, 3)


def test_a_series_is_one_department_of_one_store() -> None:
    of = backtest(np.full((4, 2), 80.0), np.full((4, 2), 100.0))
    found = only(replace(of, store=np.repeat([4, 8, 4, 5], 2), dept=np.repeat([2, 1, 3, 0], 2)))
    assert (found.rows, found.series, found.weeks) == (8, 4, 2)


def test_a_lead_that_is_the_same_everywhere_is_sure() -> None:
    noise = np.random.default_rng(1).uniform(1, 100, (SERIES, WEEKS))
    found = only(backtest(0.9 * noise, noise))
    assert (found.series, found.weeks) == (SERIES, WEEKS)
    # The comparison is paired: rows with large errors are the same for both.
    assert [found.difference, found.lower, found.upper] == pytest.approx([-0.1, -0.1, -0.1])


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(100):
        noise = shared(np.random.default_rng(seed), by_series=10, by_week=10, by_row=20)
        found = only(backtest(100 + noise, np.full((SERIES, WEEKS), 100.0)))
        held += found.lower <= 0 <= found.upper
    # 95 %, less some for only 12 weeks, more some for being cautious; drawing rows would give about 40 %.
    assert 88 <= held <= 100


@pytest.mark.parametrize("kind", ["by_series", "by_week"])
def test_what_series_or_weeks_share_widens_the_interval(kind: str) -> None:
    noise = {"by_series": 0.0, "by_week": 0.0, "by_row": 0.0, kind: 20.0}
    found = only(backtest(100 + shared(np.random.default_rng(3), **noise), np.full((SERIES, WEEKS), 100.0)))
    count = SERIES if kind == "by_series" else WEEKS
    # Width for a mean of ``count`` clusters, not of SERIES x WEEKS rows.
    assert found.upper - found.lower == pytest.approx(2 * 1.96 * 0.2 / np.sqrt(count), rel=0.5)


def test_the_interval_holds_95_percent_of_the_draws() -> None:
    # One week and 1,000 series with ratios of 0.8 and 1.2: the mean of a draw is nearly normal.
    candidate = np.tile([[80.0], [120.0]], (500, 1))
    of = backtest(candidate, np.full_like(candidate, 100.0))
    found = only(replace(of, store=of.row, dept=np.zeros_like(of.row)))
    width = 2 * 1.96 * 0.2 / np.sqrt(1_000)
    # The draws are seeded; an interval of 97 % would be 8 % wider.
    assert found.upper - found.lower == pytest.approx(width, rel=0.03)


def test_every_series_is_drawn() -> None:
    found = only(backtest(np.array([[100.0], [0.0]]), np.array([[100.0], [100.0]])))
    # Each of the two series is drawn alone in a quarter of the draws.
    assert [found.lower, found.upper] == [-1, 0]


def test_draws_are_the_same_each_time() -> None:
    noise = shared(np.random.default_rng(5), by_series=10, by_week=10, by_row=20)
    of = backtest(100 + noise, np.full((SERIES, WEEKS), 100.0))
    assert only(of) == only(of)


def test_each_slice_has_its_own_rows_and_an_empty_one_no_comparison() -> None:
    candidate, reference = np.full((4, 2), 50.0), np.full((4, 2), 100.0)
    candidate[:2] = 150.0
    of = backtest(candidate, reference)
    first = of.row < 4
    found, not_compared = compare(of, {"none": first & ~first, "bad": first, "good": ~first})
    assert {one.slice: round(one.difference, 9) for one in found} == {"bad": 0.5, "good": -0.5}
    assert not_compared == []


def test_missing_rows_do_not_change_the_result() -> None:
    noise = np.random.default_rng(7).uniform(1, 100, (SERIES, WEEKS))
    of = backtest(0.9 * noise, noise)
    # One row a series: most pairs of a series and a week are empty.
    found, _ = compare(of, {"sparse": of.row % WEEKS == of.row // WEEKS % WEEKS})
    assert found[0].rows == SERIES
    assert found[0].upper == pytest.approx(-0.1)


def test_the_last_series_may_lack_the_last_week() -> None:
    of = backtest(np.full((2, 2), 90.0), np.full((2, 2), 100.0))
    found, _ = compare(of, {"all but the last": of.row < 3})
    assert found[0].difference == pytest.approx(-0.1)


def test_a_draw_of_empty_cells_says_nothing() -> None:
    of = backtest(np.full((2, 2), 90.0), np.full((2, 2), 100.0))
    # The first series in the first week, the second in the second: a quarter of the draws have no row.
    found, _ = compare(of, {"sparse": of.store * 10 + of.dept == of.row % 2})
    assert [found[0].lower, found[0].upper] == pytest.approx([-0.1, -0.1])


def test_the_unit_of_the_sales_does_not_matter() -> None:
    noise = np.random.default_rng(9).uniform(1, 100, (3, 2))
    dollars, small = (only(backtest(unit * (noise + 10), unit * noise)) for unit in (1, 1e-4))
    assert (small.lower, small.upper) == pytest.approx((dollars.lower, dollars.upper), rel=1e-6)
    assert dollars.lower < dollars.upper


def test_a_reference_without_errors_is_named_and_the_others_are_compared() -> None:
    of = backtest(np.full((2, 2), 10.0), np.full((2, 2), 20.0))
    of = replace(of, forecasts={**of.forecasts, "champion": of.actual})
    found, not_compared = compare(of, {"all": of.row >= 0})
    assert [comparison.against for comparison in found] == ["naive"]
    assert not_compared == [SliceNotScored(slice="all", reason="not compared: champion has no error there")]


def test_every_reference_is_compared_but_not_the_oracle() -> None:
    of = backtest(np.full((2, 2), 10.0), np.full((2, 2), 20.0))
    naive = of.forecasts["naive"]
    others = {"seasonal_naive": naive, "champion": naive, "oracle": naive}
    of = replace(of, forecasts={**of.forecasts, **others})
    found, _ = compare(of, {"all": of.row >= 0})
    assert [one.against for one in found] == ["champion", "naive", "seasonal_naive"]
