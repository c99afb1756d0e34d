"""Check of the weeks that a training needs."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from shelfcast.features.enough_weeks import check_weeks
from shelfcast.features.sales_history import SalesGrid
from shelfcast.job import UserError

FIRST = date(2026, 1, 2)


def grid(*series: str) -> SalesGrid:
    """Returns series of sales; a dot is a week without a row, a 0 one without sales."""
    sales = np.array([[np.nan if week == "." else float(week) for week in weeks] for weeks in series])
    weeks = np.datetime64(FIRST) + 7 * np.arange(sales.shape[1])
    numbers = np.arange(1, len(series) + 1)
    return SalesGrid(numbers, numbers, weeks, sales, np.zeros_like(sales, dtype=bool))


def error_of(of: SalesGrid, horizon: int = 2, validation: int = 1, test: int = 1) -> UserError:
    with pytest.raises(UserError) as caught:
        check_weeks(of, horizon, validation, test)
    return caught.value


@pytest.mark.parametrize(
    "series",
    [
        ["1111"],
        ["0000"],
        # The weeks in between are within reach of two weeks ahead.
        ["11.11"],
        # Different series serve the three parts.
        ["11..", ".11.", "..11"],
    ],
)
def test_data_that_can_be_split_pass(series: list[str]) -> None:
    check_weeks(grid(*series), 2, 1, 1)


@pytest.mark.parametrize("horizon", [3, 4, 99])
def test_the_first_week_can_forecast_the_last_one(horizon: int) -> None:
    check_weeks(grid("111.", "1..1"), horizon, 1, 1)


@pytest.mark.parametrize("weeks", ["1", "11", "111"])
def test_fewer_than_four_weeks_are_too_few(weeks: str) -> None:
    error = error_of(grid(weeks))
    assert error.type == "BadData"
    assert f"the data set has {len(weeks)} week" in str(error)
    assert "at least 4 are needed" in str(error)


def test_weeks_that_are_all_kept_for_validation_and_test_are_the_inputs_fault() -> None:
    error = error_of(grid("1" * 10), validation=4, test=5)
    assert error.type == "InvalidInput"
    assert "10 weeks of sales, 2026-01-02 to 2026-03-06" in str(error)
    check_weeks(grid("1" * 10), 2, 4, 4)


@pytest.mark.parametrize(
    ("series", "part", "weeks"),
    [
        ("1...11", "train", "2026-01-02 to 2026-01-23"),
        ("11...1", "validate", "2026-01-30 to 2026-01-30"),
        ("11111...1", "test", "2026-02-27 to 2026-02-27"),
    ],
)
def test_a_part_that_nothing_can_forecast_is_named(series: str, part: str, weeks: str) -> None:
    validation = 1 if part != "test" else 4
    error = error_of(grid(series), validation=validation)
    assert error.type == "BadData"
    assert f"in the weeks to {part} on, {weeks}, no series has sales" in str(error)


def test_weeks_that_are_shut_or_out_of_stock_are_no_data() -> None:
    known = grid("1" * 10, "1" * 10)
    hidden = np.zeros_like(known.sales, dtype=bool)
    hidden[:, 6:] = True
    error = error_of(known.without(hidden, hidden), validation=2, test=2)
    assert "to validate on, 2026-02-13 to 2026-02-20, no series" in str(error)
    assert "weeks that are shut or out of stock do not count" in str(error)
    error = error_of(known.without(np.ones_like(hidden), hidden))
    assert error.type == "BadData"
    assert "2026-01-02 to 2026-03-06, every series is shut or out of stock" in str(error)


def test_an_estimated_history_is_no_data() -> None:
    three = grid("11111..", "..11111", "1111111")
    check_weeks(three, 1, 1, 1)
    apart = grid("111.1.1", ".1.1.1.", "1111111")
    error_of(replace(apart, estimated=np.array([False, False, True])), horizon=1)
