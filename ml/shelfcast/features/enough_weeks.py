"""Check that a data set has weeks to train, to validate and to test on, before anything is computed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shelfcast.contracts.specs import LEAST_TRAINING_WEEKS
from shelfcast.features.sales_history import SalesGrid
from shelfcast.job import UserError

#: One week to forecast from, and one each to train, to validate and to test on.
LEAST_WEEKS = LEAST_TRAINING_WEEKS + 2


def check_demand(grid: SalesGrid) -> None:
    """Checks that sales of some week are known: in hidden weeks (``open_weeks``) they are not.

    Raises:
        UserError: ``BadData``: none are; the message says what to do.
    """
    if np.isnan(grid.sales).all():
        first, last = grid.weeks[0], grid.weeks[-1]
        raise UserError(
            "BadData",
            f"in all weeks with sales, {first} to {last}, every series is shut or out of stock, so no demand "
            "is known; correct open, available or stock, or load weeks that were open and in stock",
        )


def check_weeks(grid: SalesGrid, horizon_weeks: int, validation_weeks: int, test_weeks: int) -> None:
    """Checks that each part has a target week that can be forecast from an earlier week of its series.

    Args:
        grid: Sales of all series.
        horizon_weeks: Largest number of weeks ahead.
        validation_weeks: Target weeks before the test weeks, for validation.
        test_weeks: Newest target weeks, for the test; 0 without one.

    Raises:
        UserError: ``BadData``: a part has none; the message says what to do.
    """
    check_demand(grid)
    weeks = grid.weeks
    first, last = weeks[0], weeks[-1]
    span = f"{len(weeks)} {'week' if len(weeks) == 1 else 'weeks'} of sales, {first} to {last}"
    if len(weeks) < LEAST_WEEKS:
        raise UserError(
            "BadData",
            f"the data set has {span}: at least {LEAST_WEEKS} are needed, one to forecast from and one each "
            "to train, to validate and to test on; load more weeks",
        )
    test = len(weeks) - test_weeks
    validation = test - validation_weeks
    if validation < LEAST_TRAINING_WEEKS:
        raise UserError(
            "InvalidInput",
            f"the data set has {span}: too few for testWeeks {test_weeks} and validationWeeks "
            f"{validation_weeks}, none is left for training; lower them or load more weeks",
        )
    usable = _targets(grid, horizon_weeks)
    is_hidden = grid.hidden.any() or np.isnan(grid.sales).all(axis=1).any()
    hidden = " (weeks that are shut or out of stock do not count)" if is_hidden else ""
    for what, begin, end in (
        ("train", 0, validation),
        ("validate", validation, test),
        ("test", test, len(weeks)),
    ):
        if begin < end and not usable[begin:end].any():
            raise UserError(
                "BadData",
                f"the data set has {span}, but in the weeks to {what} on, {weeks[begin]} to "
                f"{weeks[end - 1]}, no series has sales that a week up to {horizon_weeks} weeks before could "
                f"forecast{hidden}; load the missing weeks, or change horizonWeeks, validationWeeks or "
                "testWeeks",
            )


def _targets(grid: SalesGrid, horizon_weeks: int) -> NDArray[np.bool_]:
    """Returns whether a series has sales in a week and in one of the weeks before it, [weeks]."""
    known = ~np.isnan(grid.sales) & ~grid.is_estimated
    before = np.zeros_like(known)
    for weeks in range(1, horizon_weeks + 1):
        before[:, weeks:] |= known[:, :-weeks]
    both = known & before
    result: NDArray[np.bool_] = both.sum(axis=0) > 0
    return result
