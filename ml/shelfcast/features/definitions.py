"""Definitions of all features: name, view, meaning, and the values that each one reads.

A row of ``sales_history`` and ``store_externals`` at origin week t holds only values that are known at the
end of t (``publication_lags``). ``calendar`` is keyed by the TARGET week and computed from dates
alone. A feature about the target week (``last_year_h3``) has one column for each number of weeks ahead. Units
are US dollars a week unless stated otherwise. A missing value is NULL or NaN, never 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from shelfcast.contracts.model import ModelFeature, View
from shelfcast.features import intermittent, own_holidays, publication_lags
from shelfcast.features.open_weeks import AVAILABLE, OPEN
from shelfcast.features.publication_lags import SALES, Use
from shelfcast.job import UserError
from shelfcast.snapshot import EXTERNALS, Covariate

LAGS = (*range(1, 14), 26, 51, 52)
#: Lags of a department's mean over all stores, weeks.
DEPT_LAGS = range(1, 13)
ROLLING_WEEKS = (4, 13, 52)
YEAR_WEEKS = 52
#: Feature with the structural forecast; formula in ``structural``.
STRUCTURAL = "structural"
#: Suffix of ``last_year`` -> offset in weeks from the week one year before the target week.
LAST_YEAR_OFFSETS = {"_before_2": -2, "_before": -1, "": 0, "_after": 1, "_after_2": 2}
#: ``last_year_after_2`` looks at w - 50 weeks, which must not lie after the origin.
MAX_HORIZON_WEEKS = YEAR_WEEKS - 2


@dataclass(frozen=True)
class Feature:
    """Definition of one feature.

    Attributes:
        name: Name in the model.
        view: Feast feature view that holds it.
        description: Meaning in words; t is the origin week, w the target week.
        uses: Source values that it reads.
        ahead: Whether it depends on the target week; its columns are then ``<stem>_h1``, ``<stem>_h2``, ...
        stem: First part of its column names; the feature's name by default.
    """

    name: str
    view: View
    description: str
    uses: tuple[Use, ...]
    ahead: bool = False
    stem: str = ""

    @property
    def column(self) -> str:
        """Column name; ``{horizon}`` stands for the number of weeks ahead."""
        stem = self.stem or self.name
        return f"{stem}_h{{horizon}}" if self.ahead else stem

    def columns(self, horizon_weeks: int) -> list[str]:
        """Returns the column names for 1 to ``horizon_weeks`` weeks ahead."""
        if not self.ahead:
            return [self.column]
        return [self.column.replace("{horizon}", str(h)) for h in range(1, horizon_weeks + 1)]


def _sales(name: str, description: str, newest_week: int = 0) -> Feature:
    return Feature(name, "sales_history", description, (Use(SALES, newest_week),))


def _sales_ahead(name: str, description: str, *uses: Use) -> Feature:
    return Feature(name, "sales_history", description, uses, ahead=True)


def _structural(*more: Use) -> Feature:
    text = (
        "structural forecast of w: level and season of the department, shift of the store, offset of the "
        "series"
    )
    return _sales_ahead(STRUCTURAL, text, Use(SALES, 0), *more)


_SALES_HISTORY: tuple[Feature, ...] = (
    _sales("sales_0", "sales in t"),
    *(_sales(f"lag_{n}", f"sales in t - {n} weeks", -n) for n in LAGS),
    *(
        _sales(f"rolling_{stat}_{n}", f"{stat} of the weeks t-{n - 1}..t that exist")
        for stat in ("mean", "std", "median")
        for n in ROLLING_WEEKS
    ),
    _sales("rolling_min_13", "minimum of the weeks t-12..t"),
    _sales("rolling_max_13", "maximum of the weeks t-12..t"),
    _sales("observed_weeks_13", "weeks with a row among t-12..t"),
    _sales("weeks_since_first", "weeks since the first row; 0 at the first"),
    _sales("weeks_since_last_sale", "weeks since the newest week up to t with sales above 0"),
    _sales("trend_4_13", "rolling_mean_4 / rolling_mean_13"),
    _sales("last_year_mean_4", "mean of the weeks t-55..t-52", -YEAR_WEEKS),
    _sales("last_year_mean_13", "mean of the weeks t-64..t-52", -YEAR_WEEKS),
    _sales(
        "year_on_year_4",
        "sum of the weeks t-3..t / sum of the weeks t-55..t-52; only weeks known in both years",
    ),
    _sales(
        "year_on_year_13",
        "sum of the weeks t-12..t / sum of the weeks t-64..t-52; only weeks known in both years",
    ),
    _sales("share_of_store", "rolling_mean_13 / its sum over the store's departments"),
    _sales("dept_mean_0", "department: mean sales per store in t"),
    *(_sales(f"dept_lag_{n}", f"department: mean sales per store in t - {n} weeks", -n) for n in DEPT_LAGS),
    _sales("dept_mean_4", "department: mean sales per store in the weeks t-3..t"),
    _sales(
        "dept_trend_4_13", "department over all stores: mean of the weeks t-3..t / mean of the weeks t-12..t"
    ),
    _sales("dept_year_on_year_13", "department over all stores: year_on_year_13"),
    _sales(
        "store_trend_4_13", "store over all departments: mean of the weeks t-3..t / mean of the weeks t-12..t"
    ),
    _sales("store_year_on_year_13", "store over all departments: year_on_year_13"),
    *(
        _sales_ahead(
            f"last_year{end}",
            f"sales in w - {YEAR_WEEKS - weeks} weeks",
            Use(SALES, weeks - YEAR_WEEKS, of_target=True),
        )
        for end, weeks in LAST_YEAR_OFFSETS.items()
    ),
    _sales_ahead(
        "dept_season",
        "department over all stores: sales in w - 52 weeks / mean of the weeks t-64..t-52",
        Use(SALES, -YEAR_WEEKS, of_target=True),
        Use(SALES, -YEAR_WEEKS),
    ),
    _structural(),
)

#: Sales in the week of last year that is alike.
_ALIKE_SALES = (
    Use(
        SALES,
        -own_holidays.MIN_WEEKS_BACK,
        of_target=True,
        last_horizon=own_holidays.MIN_WEEKS_BACK,
    ),
    Use(own_holidays.WEEKS_BACK, 0, of_target=True),
)
#: Features of a data set with holidays of its own; formulas in ``alike_weeks``.
_ALIKE: tuple[Feature, ...] = (
    _sales_ahead(
        own_holidays.LAST_YEAR,
        "sales in the week of last year that is alike, w - holiday_weeks_back weeks",
        *_ALIKE_SALES,
    ),
    _sales_ahead(
        own_holidays.DEPT_SEASON,
        "department over all stores: sales in the week of last year that is alike / mean of the weeks "
        "t-64..t-52",
        *_ALIKE_SALES,
        Use(SALES, -YEAR_WEEKS),
    ),
)

#: The structural forecast of such a data set reads the holidays of w and of the week after it, too.
_STRUCTURAL_ALIKE = _structural(
    Use(own_holidays.HOLIDAY, 1, of_target=True), Use(own_holidays.WEEKS_BACK, 0, of_target=True)
)

#: Features of a data set with intermittent series; formulas in ``intermittent``.
_INTERMITTENT: tuple[Feature, ...] = (
    *(
        _sales(name, f"forecast by Croston's method with the Syntetos-Boylan correction, smoothed by {n} %")
        for name, n in zip(intermittent.CROSTON, intermittent.CONSTANTS, strict=True)
    ),
    *(
        _sales(name, f"forecast by the method of Teunter, Syntetos and Babai, smoothed by {n} %")
        for name, n in zip(intermittent.TSB, intermittent.CONSTANTS, strict=True)
    ),
)

#: Feature of a data set with plans, covariates known in advance; formula in ``planned_lift``.
PLANNED_LIFT = "planned_lift"

#: Store-week covariates of every data set; each also has an ``<name>_is_missing`` flag.
STORE_EXTERNALS = EXTERNALS


def missing_flag(name: str) -> str:
    """Returns the name of the flag that is 1 where the external is missing."""
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
#: Calendar features, all integers; formulas in ``shelfcast.calendar``.
_CALENDAR: dict[str, str] = {
    "is_holiday": "1 where w holds Super Bowl, Labor Day, Thanksgiving or Christmas",
    **{f"is_{name}": f"1 where w holds {title}" for name, title in _NAMED_HOLIDAYS.items()},
    "week_of_year": "ISO week of w",
    "month": "month of w",
    "quarter": "quarter of w",
    **{f"weeks_to_{name}": _DISTANCE.format(title) for name, title in _NAMED_HOLIDAYS.items()},
    "december_days_before_christmas": "days of w that lie in 1..24 December",
    "christmas_shift": "days of w in 18..24 December, minus the same days of the week 52 weeks before",
    "easter_shift": "weeks_to_easter of w minus weeks_to_easter of the week 52 weeks before",
    "is_holiday_last_year": "is_holiday of the week 52 weeks before w",
}
CALENDAR: tuple[str, ...] = tuple(_CALENDAR)


@dataclass(frozen=True)
class FeatureSet:
    """Features of a run.

    Attributes:
        horizon_weeks: Largest number of weeks ahead.
        covariates: Covariates that the data set declares; each adds features.

    Raises:
        UserError: ``InvalidInput``: the horizon is not 1 to ``MAX_HORIZON_WEEKS``, two features have one
            name, or one would read a value before it is known.
    """

    horizon_weeks: int
    covariates: tuple[Covariate, ...] = ()

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
                f"two features are called {', '.join(twice)}; give the covariate another name",
            )
        uses = {feature.name: feature.uses for feature in self.features}
        publication_lags.check_uses(uses, self.sources, self.horizon_weeks)

    @property
    def sources(self) -> dict[str, Covariate]:
        """Sales and all covariates by name, each with the week in which it becomes known."""
        return publication_lags.source_columns(self.covariates)

    @property
    def plans(self) -> list[Covariate]:
        """Covariates known in advance, but those of holidays and closures."""
        others = {*own_holidays.COVARIATE_NAMES, OPEN}
        return [c for c in self.covariates if (c.known_after_weeks or 0) < 0 and c.name not in others]

    @property
    def features(self) -> list[Feature]:
        """All features, view by view."""
        sources = self.sources
        externals = [sources[name] for name in STORE_EXTERNALS]
        others = {*STORE_EXTERNALS, intermittent.DECLARED.name, AVAILABLE.name}
        declared = [covariate for covariate in self.covariates if covariate.name not in others]
        series_weeks = [f for c in declared if c.of == "series_week" for f in _weekly(c, "sales_history")]
        store_weeks = [f for c in declared if c.of == "store_week" for f in _weekly(c, "store_externals")]
        own = own_holidays.has_own_holidays(sources)
        return [
            *(_STRUCTURAL_ALIKE if own and f.name == STRUCTURAL else f for f in _SALES_HISTORY),
            *(_ALIKE if own else ()),
            *(_INTERMITTENT if intermittent.is_intermittent(self.covariates) else ()),
            *(_planned_lift(self.plans) if self.plans else ()),
            *series_weeks,
            *(feature for column in externals for feature in _weekly(column, "store_externals")),
            *(_missing(column) for column in externals),
            *store_weeks,
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
        """Feature columns of each view."""
        columns: dict[View, list[str]] = {
            view: [] for view in ("sales_history", "store_externals", "store_attributes", "calendar")
        }
        for feature in self.features:
            columns[feature.view] += feature.columns(self.horizon_weeks)
        return columns

    @property
    def model_features(self) -> list[ModelFeature]:
        """Features that a model may use, in the form of ``features.json`` and ``model.json``."""
        return [ModelFeature(name=f.name, view=f.view, column=f.column) for f in self.features]

    def earliest_origin(self, column: str, week: date) -> date:
        """Returns the first origin whose features may read the column's value of that week.

        It lies before the week for a covariate known in advance, and is ``date.min`` for a static one.
        """
        return publication_lags.earliest_origin(self.sources[column], week)


def publication_lag_weeks(column: Covariate) -> int:
    """Returns the weeks between the origin and the newest known value of a past week; 0 at least."""
    assert column.known_after_weeks is not None
    return max(column.known_after_weeks, 0)


def weeks_known_ahead(column: Covariate) -> int:
    """Returns how many weeks after the origin have a known value; 0 for a past covariate."""
    assert column.known_after_weeks is not None
    return max(-column.known_after_weeks, 0)


def _weekly(column: Covariate, view: View) -> list[Feature]:
    lag, known_ahead = publication_lag_weeks(column), weeks_known_ahead(column)
    week = f"t - {lag} weeks" if lag else "t"
    features = []
    if column.name not in own_holidays.ONLY_AHEAD:
        use = Use(column.name, -lag)
        features.append(Feature(column.name, view, f"{column.description}, in {week}", (use,)))
    if known_ahead:
        features.append(
            Feature(
                f"{column.name}_ahead",
                view,
                f"{column.description}, in w; null more than {known_ahead} weeks ahead",
                (Use(column.name, 0, of_target=True, last_horizon=known_ahead),),
                ahead=True,
                stem=column.name,
            )
        )
    return features


def _planned_lift(plans: Sequence[Covariate]) -> list[Feature]:
    uses = [Use(c.name, 0, of_target=True, last_horizon=weeks_known_ahead(c)) for c in plans]
    text = (
        "effect of the plan of w: sum of sales / sum of the median of the 13 weeks before, over weeks to t "
        "in which a covariate known in advance had its value of w; of several covariates, the strongest"
    )
    return [Feature(PLANNED_LIFT, "sales_history", text, (Use(SALES, 0), *uses), ahead=True)]


def _missing(column: Covariate) -> Feature:
    name = missing_flag(column.name)
    use = Use(column.name, -publication_lag_weeks(column))
    return Feature(name, "store_externals", f"1 where {column.name} is null, else 0", (use,))
