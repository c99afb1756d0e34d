"""Backtest: forecasts of all test weeks, for every series and number of weeks ahead.

The origin rolls: a test week is forecast from each of the H weeks before it, with the values known then. All
forecasters are scored on the same rows, those that each of them can forecast. A forecaster that can forecast
too few of them is left out by name, because it would leave too few for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import pyarrow as pa

from shelfcast.contracts.results import Forecaster, ForecasterLeftOut
from shelfcast.evaluate.model import Model, Quantiles, Role
from shelfcast.evaluate.naive_errors import NaiveErrors
from shelfcast.evaluate.slices import Booleans
from shelfcast.features.own_holidays import holiday_flag
from shelfcast.features.samples import Floats, Integers, OriginTable, Weeks
from shelfcast.ids import PLAIN_IDS, Ids
from shelfcast.job import UserError
from shelfcast.levels import NO_LEVELS, Levels

T = TypeVar("T")

#: Share of the rows that a baseline must forecast to be compared.
MIN_SHARE = 0.5
#: Rows with features in memory at a time.
BATCH_ROWS = 16_384

#: Forecaster -> feature that is its point forecast.
_BASELINES: dict[Forecaster, str] = {"naive": "sales_0", "seasonal_naive": "last_year"}
_MODELS: tuple[Forecaster, ...] = ("candidate", "champion", "simple")
_STORE_TYPE = "type_code"
_MEAN_SALES, _AGE_WEEKS = "rolling_mean_52", "weeks_since_first"

_REASONS: dict[Forecaster, str] = {
    "champion": "it has no finite forecast, or the target is more weeks ahead than it answers",
    "naive": "no sales are known in the origin week",
    "seasonal_naive": "no sales are known 52 weeks before the target week",
    "oracle": "the generator's means lack the target week",
}


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Rows without a forecast of a forecaster; a row may be counted for several forecasters."""

    forecaster: Forecaster
    reason: str
    rows: int


@dataclass(frozen=True)
class Backtest:
    """N scored rows, in the order of the origin table and, within an origin, of weeks ahead.

    Attributes:
        row: Row of the origin table, [N].
        store: Store number, [N].
        dept: Department number, [N].
        horizon: Weeks ahead, [N].
        target_week: Target week, days, [N].
        actual: Sales in the target week, US dollars, [N].
        holiday: Whether the target week is a holiday week, [N].
        store_type: Number of the store type, NaN where unknown, [N].
        mean_sales: Mean weekly sales of the series over the year that ends at the origin, US dollars, [N].
        age_weeks: Weeks since the series' first sales, at the origin, [N].
        scale: In-sample error of the series' naive forecast (``naive_errors``), US dollars or NaN, [N].
        forecasts: Point forecast of each forecaster (a model's median), US dollars, [N].
        quantiles: Quantiles of each model, US dollars, [N, Q].
        quantile_levels: Quantile level of each of their columns, such as 0.1, [Q].
        left_out: Numbers of rows left out, and reasons.
        found: Number of rows before any was left out.
        ids: Ids of stores, departments and store types.
        levels: Levels of the series.
        forecasters_left_out: Forecasters that are not compared, and reasons.
        simple: Quantiles of each simple forecast [N, Q]; the first one is the forecaster ``simple``.
        hidden_weeks: Number of weeks of the data in which series were shut or out of stock, never scored.
    """

    row: Integers
    store: Integers
    dept: Integers
    horizon: Integers
    target_week: Weeks
    actual: Floats
    holiday: Booleans
    store_type: Floats
    mean_sales: Floats
    age_weeks: Floats
    scale: Floats
    forecasts: dict[Forecaster, Floats]
    quantiles: dict[Forecaster, Quantiles]
    quantile_levels: dict[Forecaster, tuple[float, ...]]
    left_out: list[LeftOut]
    found: int
    ids: Ids = PLAIN_IDS
    levels: Levels = NO_LEVELS
    forecasters_left_out: list[ForecasterLeftOut] = field(default_factory=list)
    simple: list[Quantiles] = field(default_factory=list)
    hidden_weeks: int = 0

    def with_simple_as_candidate(self, index: int) -> Backtest:
        """Returns the backtest with a simple forecast as the candidate, and none beside it."""
        levels, answers = self.quantile_levels["simple"], self.simple[index]

        def changed(values: Mapping[Forecaster, T], of_candidate: T) -> dict[Forecaster, T]:
            others = {name: value for name, value in values.items() if name not in ("candidate", "simple")}
            return {"candidate": of_candidate, **others}

        median = answers[:, levels.index(0.5)].astype(np.float64)
        return replace(
            self,
            forecasts=changed(self.forecasts, median),
            quantiles=changed(self.quantiles, answers),
            quantile_levels=changed(self.quantile_levels, levels),
            simple=[],
        )

    def interval(self, forecaster: Forecaster, low: float, high: float) -> Floats | None:
        """Returns two quantiles, US dollars [N, 2]; None if the forecaster lacks one of them."""
        levels = self.quantile_levels.get(forecaster, ())
        if low not in levels or high not in levels:
            return None
        ends = [levels.index(low), levels.index(high)]
        return self.quantiles[forecaster][:, ends].astype(np.float64)


def run_backtest(
    table: OriginTable,
    samples: tuple[Integers, Integers],
    models: Mapping[Role, Model],
    oracle: pa.Table | None,
    scale: NaiveErrors,
    on_batch: Callable[[float], None],
    simple: Sequence[Model] = (),
) -> Backtest:
    """Forecasts the samples: rows of the table [N] and weeks ahead [N].

    Args:
        table: The training data.
        samples: Rows and weeks ahead to forecast; all targets are known.
        models: The candidate, and the champion where there is one.
        oracle: Columns store, dept, week, expected_sales, or None.
        scale: Naive errors, the scale of MASE.
        on_batch: Callback with the share of samples that are done.
        simple: Simple forecasts, the best one first.

    Raises:
        UserError: ``CandidateFailed``: the candidate or a simple forecast is not finite for a sample.
    """
    rows, horizons = samples
    every = [*models.values(), *simple]
    columns, answers = _features_and_quantiles(table, rows, horizons, every, on_batch)
    quantiles: dict[Role, Quantiles] = dict(zip(models, answers[: len(models)], strict=True))
    of_simple = answers[len(models) :]
    if simple:
        models = {**models, "simple": simple[0]}
        quantiles["simple"] = of_simple[0]
    store, dept, target_week = table.store[rows], table.dept[rows], table.target_week(rows, horizons)
    series = table.ids, store, dept, target_week
    _require_finite("the candidate", quantiles["candidate"], *series)
    for model, values in zip(simple, of_simple, strict=True):
        _require_finite(f"the simple forecast {model.manifest.preset}", values, *series)
    forecasts = _point_forecasts(models, quantiles, columns)
    if oracle is not None:
        forecasts["oracle"] = join_oracle(oracle, store, dept, target_week)
    missing = _missing(forecasts, quantiles)
    not_compared = _forecasters_left_out(missing)
    compared = {name: lacking for name, lacking in missing.items() if name not in not_compared}
    kept = ~np.any(list(compared.values()), axis=0)
    rows, horizons, store, dept = rows[kept], horizons[kept], store[kept], dept[kept]
    return Backtest(
        row=rows,
        store=store,
        dept=dept,
        horizon=horizons,
        target_week=target_week[kept],
        actual=table.targets[rows, horizons - 1],
        holiday=columns[holiday_flag(columns)][kept] == 1,
        store_type=columns[_STORE_TYPE][kept],
        mean_sales=columns[_MEAN_SALES][kept],
        age_weeks=columns[_AGE_WEEKS][kept],
        scale=scale.of(store, dept),
        forecasts={name: values[kept] for name, values in forecasts.items() if name in compared},
        quantiles={role: values[kept] for role, values in quantiles.items() if role in compared},
        quantile_levels={role: tuple(m.manifest.quantiles) for role, m in models.items() if role in compared},
        left_out=[
            LeftOut(forecaster=name, reason=_REASONS[name], rows=int(lacking.sum()))
            for name, lacking in compared.items()
            if lacking.any()
        ],
        found=len(kept),
        ids=table.ids,
        levels=table.levels,
        forecasters_left_out=[_left_out(name, missing[name]) for name in not_compared],
        simple=[values[kept] for values in of_simple],
        hidden_weeks=table.hidden_weeks,
    )


def _features_and_quantiles(
    table: OriginTable,
    rows: Integers,
    horizons: Integers,
    models: Sequence[Model],
    on_batch: Callable[[float], None],
) -> tuple[dict[str, Floats], list[Quantiles]]:
    """Returns the features that the backtest reads, and each model's quantiles (NaN beyond its horizon)."""
    names = [feature.name for feature in table.features]
    needed = [*_BASELINES.values(), holiday_flag(names), _STORE_TYPE, _MEAN_SALES, _AGE_WEEKS]
    columns = {name: np.empty(len(rows)) for name in needed}
    quantiles = [np.full((len(rows), len(model.manifest.quantiles)), np.nan, np.float32) for model in models]
    for start in range(0, len(rows), BATCH_ROWS):
        batch = slice(start, start + BATCH_ROWS)
        row, horizon = rows[batch], horizons[batch]
        matrix = table.matrix(row, horizon)
        for name, values in columns.items():
            values[batch] = matrix[:, names.index(name)]
        for model, answers in zip(models, quantiles, strict=True):
            within = horizon <= model.horizon_weeks
            if within.any():
                answers[batch][within] = model.predict(
                    matrix[within], table.store[row[within]], table.dept[row[within]], horizon[within]
                )
        on_batch(min(1.0, (start + BATCH_ROWS) / len(rows)))
    return columns, quantiles


def _point_forecasts(
    models: Mapping[Role, Model], quantiles: Mapping[Role, Quantiles], columns: Mapping[str, Floats]
) -> dict[Forecaster, Floats]:
    """Returns the medians of the models and the forecasts of the baselines, US dollars [N]."""
    medians: dict[Forecaster, Floats] = {
        role: quantiles[role][:, model.column_of(0.5)].astype(np.float64) for role, model in models.items()
    }
    return medians | {name: columns[feature] for name, feature in _BASELINES.items()}


def _left_out(forecaster: Forecaster, lacking: Booleans) -> ForecasterLeftOut:
    """Returns a forecaster that is not compared, with the number of rows [N] that it lacks."""
    reason = f"{_REASONS[forecaster]}, for {lacking.sum():,} of {len(lacking):,} rows"
    return ForecasterLeftOut(forecaster=forecaster, reason=reason)


def _require_finite(
    what: str, quantiles: Quantiles, ids: Ids, store: Integers, dept: Integers, target_week: Weeks
) -> None:
    broken = np.flatnonzero(~np.isfinite(quantiles).all(axis=1))
    if len(broken) > 0:
        i = broken[0]
        raise UserError(
            "CandidateFailed",
            f"{what} has no finite forecast for {len(broken)} of {len(quantiles)} rows, the first "
            f"being {ids.series(int(store[i]), int(dept[i]))}, week {target_week[i]}: look at its training",
        )


def join_oracle(oracle: pa.Table, store: Integers, dept: Integers, target_week: Weeks) -> Floats:
    """Returns the generator's mean of N targets, US dollars [N]; NaN where there is none.

    Raises:
        ValueError: The oracle has two means for one target.
    """
    targets = pa.table({"store": store, "dept": dept, "week": target_week, "row": np.arange(len(store))})
    keys = ["store", "dept", "week"]
    means = oracle.select([*keys, "expected_sales"]).cast(
        pa.schema([*(targets.schema.field(key) for key in keys), pa.field("expected_sales", pa.float64())])
    )
    joined = targets.join(means, keys, join_type="left outer").sort_by("row")
    if len(joined) != len(targets):
        raise ValueError("the oracle has more than one row for a store, dept and week")
    expected: Floats = joined["expected_sales"].to_numpy()
    return expected


def _missing(
    forecasts: Mapping[Forecaster, Floats], quantiles: Mapping[Role, Quantiles]
) -> dict[Forecaster, Booleans]:
    """Returns a mask [N] of the rows that each forecaster cannot forecast; none for the candidate."""
    missing = {name: ~np.isfinite(values) for name, values in forecasts.items()}
    for role, answers in quantiles.items():
        missing[role] |= ~np.isfinite(answers).all(axis=1)
    return missing


def _forecasters_left_out(missing: Mapping[Forecaster, Booleans]) -> list[Forecaster]:
    """Returns the forecasters that are not compared.

    A model is left out if it lacks every row, a baseline if it lacks too many. Then the forecaster that lacks
    most is left out, models at last, until there is a row that all others can forecast.
    """
    left_out = [
        name
        for name, rows in missing.items()
        if rows.all() or (name not in _MODELS and rows.mean() > 1 - MIN_SHARE)
    ]
    others = [name for name, rows in missing.items() if name not in left_out and rows.any()]
    others.sort(key=lambda name: (name in _MODELS, -int(missing[name].sum())))
    while others and np.any([missing[name] for name in others], axis=0).all():
        left_out.append(others.pop(0))
    return left_out
