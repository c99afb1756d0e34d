"""Formulas of the on-demand views: made of known features at the moment they are asked for.

Feast's registry names each function and shows its source. All take and return columns of equal length; a
missing value is NaN.
"""

from __future__ import annotations

import pandas as pd

#: By view: its features and what they say.
ON_DEMAND: dict[str, dict[str, str]] = {
    "sales_normalized": {
        "sales_position_13": "sales in t between the least (0) and the most (1) of the weeks t-12..t",
        "observed_share_13": "share of the weeks t-12..t that have a row",
    },
    "holiday_promotions": {
        "holiday_markdown": "sum of the markdowns known at t where w is a holiday week, else 0",
    },
    "sales_density": {
        "sales_per_square_foot": "rolling_mean_4 / size, US dollars a week and square foot",
    },
}
#: By view: the columns that it reads of each feature view.
ON_DEMAND_SOURCES: dict[str, dict[str, tuple[str, ...]]] = {
    "sales_normalized": {
        "sales_history": ("sales_0", "rolling_min_13", "rolling_max_13", "observed_weeks_13")
    },
    "holiday_promotions": {
        "calendar": ("is_holiday",),
        "store_externals": tuple(f"markdown{n}" for n in range(1, 6)),
    },
    "sales_density": {"sales_history": ("rolling_mean_4",), "store_attributes": ("size",)},
}


def sales_normalized(inputs: pd.DataFrame) -> pd.DataFrame:
    """Returns the view's features; the position is null where the range is nothing."""
    span = inputs["rolling_max_13"] - inputs["rolling_min_13"]
    return pd.DataFrame(
        {
            "sales_position_13": (inputs["sales_0"] - inputs["rolling_min_13"]) / span.where(span > 0),
            "observed_share_13": inputs["observed_weeks_13"] / 13,
        }
    ).astype("float64")


def holiday_promotions(inputs: pd.DataFrame) -> pd.DataFrame:
    """Returns the view's features; null where no markdown is known."""
    markdowns = inputs[[f"markdown{n}" for n in range(1, 6)]].astype("float64")
    return pd.DataFrame(
        {"holiday_markdown": markdowns.sum(axis=1, min_count=1) * inputs["is_holiday"]}
    ).astype("float64")


def sales_density(inputs: pd.DataFrame) -> pd.DataFrame:
    """Returns the view's features."""
    return pd.DataFrame({"sales_per_square_foot": inputs["rolling_mean_4"] / inputs["size"]}).astype(
        "float64"
    )


FORMULAS = {
    "sales_normalized": sales_normalized,
    "holiday_promotions": holiday_promotions,
    "sales_density": sales_density,
}
