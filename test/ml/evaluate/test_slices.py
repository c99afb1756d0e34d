from __future__ import annotations

import numpy as np

from shelfcast.evaluate.slices import slices


def test_series_with_fewer_than_four_weeks_are_a_slice() -> None:
    def cold(*ages: float) -> list[bool] | None:
        ones = np.ones(len(ages))
        masks = slices(ones, ones == 0, ones, ones.astype(np.int64), np.array(ages))
        mask = masks.get("cold_start=true")
        return None if mask is None else mask.tolist()

    # The age of a series is 0 in its first week.
    assert cold(np.nan, 0, 2, 3, 99) == [True, True, True, False, False]
    assert cold(3, 99) is None


def test_thirds_hold_their_upper_bounds() -> None:
    sales = np.arange(1.0, 8.0)
    masks = slices(
        store_type=np.ones(7),
        holiday=np.full(7, False),
        mean_sales=sales,
        # Departments 50 and 90 have two rows each: 4 + 5 and 6 + 7.
        dept=np.array([10, 20, 30, 50, 50, 90, 90]),
        age_weeks=np.full(7, 99.0),
    )
    assert {name: sales[rows].tolist() for name, rows in masks.items() if rows.any()} == {
        "store_type=A": [1, 2, 3, 4, 5, 6, 7],
        "holiday=false": [1, 2, 3, 4, 5, 6, 7],
        # The bounds are 3 and 5.
        "volume=low": [1, 2, 3],
        "volume=medium": [4, 5],
        "volume=high": [6, 7],
        # The sums are 1, 2, 3, 9 and 13; the bounds are 2 1/3 and 7.
        "dept_group=low": [1, 2],
        "dept_group=medium": [3],
        "dept_group=high": [4, 5, 6, 7],
        "new_series=false": [1, 2, 3, 4, 5, 6, 7],
    }
