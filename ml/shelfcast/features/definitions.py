"""Names of all features, by view.

A row of ``sales_history`` and ``store_externals`` at origin week t holds only what is known at the end of t.
``calendar`` is keyed by the TARGET week and follows from dates alone. Columns of the sales history that speak
about the target week's past (``last_year_h3``) exist once for each number of weeks ahead; see
``HORIZON_FEATURES``. All units are US dollars a week unless said otherwise; a missing value is NULL or NaN,
never 0.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from dataclasses import dataclass
from types import ModuleType
from typing import Literal, TypedDict

View = Literal["sales_history", "store_externals", "store_attributes", "calendar"]

LAGS = (1, 2, 3, 4, 8, 13, 26, 51, 52)
ROLLING_WEEKS = (4, 13, 52)

#: Of the series (store, dept), at the origin.
SALES_HISTORY: tuple[str, ...] = (
    "sales_0",
    *(f"lag_{n}" for n in LAGS),
    # Over the weeks t-n+1..t that exist; std needs two of them.
    *(f"rolling_{stat}_{n}" for stat in ("mean", "std", "median") for n in ROLLING_WEEKS),
    "rolling_min_13",
    "rolling_max_13",
    # Weeks with a row among the 13 that end at the origin.
    "observed_weeks_13",
    # Weeks since the series' first row; 0 at the first.
    "weeks_since_first",
    # rolling_mean_4 / rolling_mean_13.
    "trend_4_13",
    # Means over the same weeks a year before: t-52-n+1..t-52.
    "last_year_mean_4",
    "last_year_mean_13",
    # Sum over the weeks known in both years, this year / last year.
    "year_on_year_4",
    "year_on_year_13",
    # rolling_mean_13 over the sum of it over the store's departments.
    "share_of_store",
    # Of the department over all stores: mean sales per store at the origin and over 4 weeks, and ratios as
    # above.
    "dept_mean_0",
    "dept_mean_4",
    "dept_trend_4_13",
    "dept_year_on_year_13",
    # Of the store over all departments: ratios as above.
    "store_trend_4_13",
    "store_year_on_year_13",
)

#: Name in the model -> what it is; the column is ``<name>_h<weeks ahead>``. w = target week.
HORIZON_FEATURES: dict[str, str] = {
    "last_year": "sales in w - 52 weeks",
    "last_year_before": "sales in w - 53 weeks",
    "last_year_after": "sales in w - 51 weeks",
    "dept_season": "department over all stores: sales in w - 52 weeks / mean of the 13 weeks to t - 52",
}

STORE_EXTERNALS: tuple[str, ...] = (
    "temperature",
    "fuel_price",
    "cpi",
    "unemployment",
    "markdown1",
    "markdown2",
    "markdown3",
    "markdown4",
    "markdown5",
)

#: ``type_code`` is 1 for A, 2 for B, ...; ``size`` in square feet.
STORE_ATTRIBUTES: tuple[str, ...] = ("type_code", "size")

#: All integers; formulas in ``shelfcast.calendar``.
CALENDAR: tuple[str, ...] = (
    "is_holiday",
    "week_of_year",
    "month",
    # Signed weeks to the nearest one: 0 in its week, 1 in the week before, -1 in the week after; -26..26.
    "weeks_to_super_bowl",
    "weeks_to_easter",
    "weeks_to_labor_day",
    "weeks_to_thanksgiving",
    "weeks_to_christmas",
    # Days of the week that lie in 1..24 December.
    "december_days_before_christmas",
    # Days in 18..24 December, minus those of the week 52 weeks before.
    "christmas_shift",
    # weeks_to_easter minus that of the week 52 weeks before.
    "easter_shift",
    # Whether the week 52 weeks before was a holiday week.
    "is_holiday_last_year",
)


class ModelFeature(TypedDict):
    """An entry of ``features.json`` and of ``model.json`` (contracts/model.ts)."""

    name: str
    view: View
    column: str


@dataclass(frozen=True)
class FeatureSet:
    """The features of a run.

    Attributes:
        horizon_weeks: Largest number of weeks ahead.
    """

    horizon_weeks: int

    @property
    def view_columns(self) -> dict[View, list[str]]:
        """The feature columns of each view."""
        horizons = range(1, self.horizon_weeks + 1)
        return {
            "sales_history": [
                *SALES_HISTORY,
                *(f"{name}_h{h}" for name in HORIZON_FEATURES for h in horizons),
            ],
            "store_externals": list(STORE_EXTERNALS),
            "store_attributes": list(STORE_ATTRIBUTES),
            "calendar": list(CALENDAR),
        }

    @property
    def model_features(self) -> list[ModelFeature]:
        """What a model may use, as ``features.json`` and ``model.json`` list it."""
        views: dict[View, tuple[str, ...]] = {
            "store_externals": STORE_EXTERNALS,
            "store_attributes": STORE_ATTRIBUTES,
            "calendar": CALENDAR,
        }
        return [
            *(ModelFeature(name=c, view="sales_history", column=c) for c in SALES_HISTORY),
            *(
                ModelFeature(name=n, view="sales_history", column=f"{n}_h{{horizon}}")
                for n in HORIZON_FEATURES
            ),
            *(ModelFeature(name=c, view=view, column=c) for view, columns in views.items() for c in columns),
        ]

    @property
    def version(self) -> str:
        """12 hex digits that change with the names or with a formula of any feature."""
        from shelfcast import calendar
        from shelfcast.features import sales_history, store_features

        parts = [json.dumps(self.view_columns), json.dumps(self.model_features)]
        parts += [_formulas(module) for module in (calendar, sales_history, store_features)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _formulas(module: ModuleType) -> str:
    """Returns a module's code without comments, layout and docstrings."""
    tree = ast.parse(inspect.getsource(module))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.dump(tree)
