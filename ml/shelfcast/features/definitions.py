"""All features of a run: their names by view, what they say, and which values they use.

A row of ``sales_history`` and ``store_externals`` at origin week t holds only what is known at the end of t;
``known_when`` says what that is. ``calendar`` is keyed by the TARGET week and follows from dates alone. A
feature that speaks about the target week (``last_year_h3``) has a column for each number of weeks ahead. All
units are US dollars a week unless said otherwise; a missing value is NULL or NaN, never 0.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from types import ModuleType
from typing import Literal, TypedDict

from shelfcast.features import known_when
from shelfcast.features.known_when import SALES, Use
from shelfcast.job import UserError
from shelfcast.snapshot import EXTERNALS, DeclaredColumn

View = Literal["sales_history", "store_externals", "store_attributes", "calendar"]

LAGS = (*range(1, 14), 26, 51, 52)
#: Of a department over all stores.
DEPT_LAGS = range(1, 13)
ROLLING_WEEKS = (4, 13, 52)
YEAR = 52
#: Weeks after the target week, a year before, by the end of the feature's name; negative ones are before it.
NEIGHBOURS = {"_before_2": -2, "_before": -1, "": 0, "_after": 1, "_after_2": 2}
#: ``last_year_after_2`` looks at w - 50 weeks, which must not lie after the origin.
MAX_HORIZON_WEEKS = YEAR - 2


@dataclass(frozen=True)
class Feature:
    """A feature.

    Attributes:
        name: In the model.
        view: Feast feature view that holds it.
        description: t = origin week, w = target week.
        uses: What it reads.
        ahead: Whether it speaks of a target week: its columns are ``<stem>_h1``, ``<stem>_h2``, ...
        stem: Of its columns; its name unless said otherwise.
    """

    name: str
    view: View
    description: str
    uses: tuple[Use, ...]
    ahead: bool = False
    stem: str = ""

    @property
    def column(self) -> str:
        """Its column; ``{horizon}`` stands for the number of weeks ahead."""
        stem = self.stem or self.name
        return f"{stem}_h{{horizon}}" if self.ahead else stem

    def columns(self, horizon_weeks: int) -> list[str]:
        """Returns its columns for up to so many weeks ahead."""
        if not self.ahead:
            return [self.column]
        return [self.column.replace("{horizon}", str(h)) for h in range(1, horizon_weeks + 1)]


def _sales(name: str, description: str, newest_week: int = 0) -> Feature:
    return Feature(name, "sales_history", description, (Use(SALES, newest_week),))


def _sales_ahead(name: str, description: str, *uses: Use) -> Feature:
    return Feature(name, "sales_history", description, uses, ahead=True)


_SALES_HISTORY: tuple[Feature, ...] = (
    _sales("sales_0", "sales in t"),
    *(_sales(f"lag_{n}", f"sales in t - {n} weeks", -n) for n in LAGS),
    *(
        _sales(f"rolling_{stat}_{n}", f"{stat} of the weeks t-{n - 1}..t that exist")
        for stat in ("mean", "std", "median")
        for n in ROLLING_WEEKS
    ),
    _sales("rolling_min_13", "least of the weeks t-12..t"),
    _sales("rolling_max_13", "most of the weeks t-12..t"),
    _sales("observed_weeks_13", "weeks with a row among t-12..t"),
    _sales("weeks_since_first", "weeks since the first row; 0 at the first"),
    _sales("weeks_since_last_sale", "weeks since the newest week up to t with sales above 0"),
    _sales("trend_4_13", "rolling_mean_4 / rolling_mean_13"),
    _sales("last_year_mean_4", "mean of the weeks t-55..t-52", -YEAR),
    _sales("last_year_mean_13", "mean of the weeks t-64..t-52", -YEAR),
    _sales("year_on_year_4", "sum of 4 weeks to t over that of a year before, of weeks known in both"),
    _sales("year_on_year_13", "sum of 13 weeks to t over that of a year before, of weeks known in both"),
    _sales("share_of_store", "rolling_mean_13 over the sum of it over the store's departments"),
    _sales("dept_mean_0", "department: mean sales a store in t"),
    *(_sales(f"dept_lag_{n}", f"department: mean sales a store in t - {n} weeks", -n) for n in DEPT_LAGS),
    _sales("dept_mean_4", "department: mean sales a store of the weeks t-3..t"),
    _sales("dept_trend_4_13", "department over all stores: mean of 4 weeks to t / mean of 13"),
    _sales("dept_year_on_year_13", "department over all stores: year_on_year_13"),
    _sales("store_trend_4_13", "store over all departments: mean of 4 weeks to t / mean of 13"),
    _sales("store_year_on_year_13", "store over all departments: year_on_year_13"),
    *(
        _sales_ahead(
            f"last_year{end}",
            f"sales in w - {YEAR - weeks} weeks",
            Use(SALES, weeks - YEAR, of_target=True),
        )
        for end, weeks in NEIGHBOURS.items()
    ),
    _sales_ahead(
        "dept_season",
        "department over all stores: sales in w - 52 weeks / mean of the 13 weeks to t - 52",
        Use(SALES, -YEAR, of_target=True),
        Use(SALES, -YEAR),
    ),
)

#: Of the source, of each store and week; ``<name>_is_missing`` is beside each.
STORE_EXTERNALS = EXTERNALS


def missing_flag(name: str) -> str:
    """Returns the name of the feature that tells whether an external is missing."""
    return f"{name}_is_missing"


_STORE_ATTRIBUTES: tuple[Feature, ...] = (
    Feature("type_code", "store_attributes", "type: 1 is A, 2 is B, ..", (Use("type", None),)),
    Feature("size", "store_attributes", "square feet", (Use("size", None),)),
)

_DISTANCE = "signed weeks from w to the nearest week of {}: 1 in the week before, -1 in the week after"
_NAMED_HOLIDAYS = {
    "super_bowl": "Super Bowl",
    "labor_day": "Labor Day",
    "thanksgiving": "Thanksgiving",
    "christmas": "Christmas",
    "easter": "Easter",
}
#: All integers; formulas in ``shelfcast.calendar``.
_CALENDAR: dict[str, str] = {
    "is_holiday": "1 where w holds Super Bowl, Labor Day, Thanksgiving or Christmas",
    **{f"is_{name}": f"1 where w holds {title}" for name, title in _NAMED_HOLIDAYS.items()},
    "week_of_year": "ISO week of w",
    "month": "month of w",
    "quarter": "quarter of w",
    **{f"weeks_to_{name}": _DISTANCE.format(title) for name, title in _NAMED_HOLIDAYS.items()},
    "december_days_before_christmas": "days of w that lie in 1..24 December",
    "christmas_shift": "days of w in 18..24 December, minus those of the week 52 weeks before",
    "easter_shift": "weeks_to_easter of w minus that of the week 52 weeks before",
    "is_holiday_last_year": "is_holiday of the week 52 weeks before w",
}
CALENDAR: tuple[str, ...] = tuple(_CALENDAR)


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
        columns: What the data set declares; each is a feature too.

    Raises:
        UserError: ``InvalidInput``: the horizon is not 1 to ``MAX_HORIZON_WEEKS``, two features have one
            name, or one would use a value before it is known.
    """

    horizon_weeks: int
    columns: tuple[DeclaredColumn, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.horizon_weeks <= MAX_HORIZON_WEEKS:
            message = f"horizonWeeks is {self.horizon_weeks}; it must be 1 to {MAX_HORIZON_WEEKS}"
            raise UserError("InvalidInput", message)
        names = Counter(feature.name for feature in self.features)
        names.update(c for f in self.features for c in f.columns(self.horizon_weeks) if c != f.name)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise UserError(
                "InvalidInput",
                f"two features are called {', '.join(twice)}; give the declared column another name",
            )
        uses = {feature.name: feature.uses for feature in self.features}
        known_when.check_uses(uses, self.sources, self.horizon_weeks)

    @property
    def sources(self) -> dict[str, DeclaredColumn]:
        """All columns of the source by name, with when they are known."""
        return known_when.source_columns(self.columns)

    @property
    def features(self) -> list[Feature]:
        """All features, view by view."""
        sources = self.sources
        externals = [sources[name] for name in STORE_EXTERNALS]
        declared = [column for column in self.columns if column.name not in STORE_EXTERNALS]
        of_series = [f for c in declared if c.of == "series_week" for f in _weekly(c, "sales_history")]
        of_stores = [f for c in declared if c.of == "store_week" for f in _weekly(c, "store_externals")]
        return [
            *_SALES_HISTORY,
            *of_series,
            *(feature for column in externals for feature in _weekly(column, "store_externals")),
            *(_missing(column) for column in externals),
            *of_stores,
            *_STORE_ATTRIBUTES,
            *(
                Feature(c.name, "store_attributes", c.description, (Use(c.name, None),))
                for c in declared
                if c.of == "store"
            ),
            *(Feature(name, "calendar", text, ()) for name, text in _CALENDAR.items()),
        ]

    @property
    def view_columns(self) -> dict[View, list[str]]:
        """The feature columns of each view."""
        columns: dict[View, list[str]] = {
            view: [] for view in ("sales_history", "store_externals", "store_attributes", "calendar")
        }
        for feature in self.features:
            columns[feature.view] += feature.columns(self.horizon_weeks)
        return columns

    @property
    def model_features(self) -> list[ModelFeature]:
        """What a model may use, as ``features.json`` and ``model.json`` list it."""
        return [ModelFeature(name=f.name, view=f.view, column=f.column) for f in self.features]

    @property
    def version(self) -> str:
        """12 hex digits that change with the names, a formula, or when a value is known."""
        from shelfcast import calendar
        from shelfcast.features import on_demand, presets, sales_history, store_features, weekly_values

        parts = [json.dumps(self.view_columns), json.dumps(self.model_features)]
        parts += [json.dumps([asdict(column) for column in self.sources.values()])]
        modules = (calendar, sales_history, store_features, weekly_values, on_demand, presets)
        parts += [_formulas(module) for module in modules]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]

    def earliest_origin(self, column: str, week: date) -> date:
        """Returns the first origin whose features may use that column's value of that week.

        For an announced column it lies before the week. A column of stores has ``date.min``: all origins use
        it.
        """
        return known_when.earliest_origin(self.sources[column], week)


def lag_weeks(column: DeclaredColumn) -> int:
    """Returns how many weeks before the origin the newest value lies that is of the origin or before it."""
    assert column.known_after_weeks is not None
    return max(column.known_after_weeks, 0)


def announced_weeks(column: DeclaredColumn) -> int:
    """Returns for how many weeks after the origin values are known."""
    assert column.known_after_weeks is not None
    return max(-column.known_after_weeks, 0)


def _weekly(column: DeclaredColumn, view: View) -> list[Feature]:
    lag, announced = lag_weeks(column), announced_weeks(column)
    week = f"t - {lag} weeks" if lag else "t"
    features = [Feature(column.name, view, f"{column.description}, in {week}", (Use(column.name, -lag),))]
    if announced:
        features.append(
            Feature(
                f"{column.name}_ahead",
                view,
                f"{column.description}, in w; null more than {announced} weeks ahead",
                (Use(column.name, 0, of_target=True, last_horizon=announced),),
                ahead=True,
                stem=column.name,
            )
        )
    return features


def _missing(column: DeclaredColumn) -> Feature:
    name = missing_flag(column.name)
    use = Use(column.name, -lag_weeks(column))
    return Feature(name, "store_externals", f"1 where {column.name} is null, else 0", (use,))


def _formulas(module: ModuleType) -> str:
    return _plain_code(inspect.getsource(module))


@cache
def _plain_code(source: str) -> str:
    """Returns code without comments, layout and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.dump(tree)
