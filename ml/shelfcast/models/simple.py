"""The simple forecasts as models: formulas on the features, with calibrated intervals and without weights.

They are exported, served and explained as the networks are. Where several formulas compete, the validation
weeks choose one. docs/training.md says what each formula falls back on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shelfcast.contracts.model import ModelFeature
from shelfcast.contracts.specs import Preset
from shelfcast.features.intermittent import CONSTANTS, CROSTON, TSB
from shelfcast.features.preset_features import (
    DEPT_NEWEST_FIRST,
    GROWTH,
    LAST_YEAR_NEIGHBOURS,
    MEANS,
    MOVING_AVERAGE_WEEKS,
    OWN_NEWEST_FIRST,
    SPREADS,
)
from shelfcast.models.feature_values import FeatureValues, feature_columns
from shelfcast.models.network import (
    Member,
    MemberForecast,
    ModelInputs,
    Network,
    Preparation,
    Standardization,
)

#: Distances of the inner and outer quantiles from the median before calibration, in spreads of the series.
_INNER, _OUTER = 1.0, 1.6
#: Minimum spread of a series, as a share of its level.
_MIN_SPREAD = 0.05

#: Forecast of N samples from their features, US dollars [N]; always finite.
Formula = Callable[[FeatureValues], Tensor]


def _new(values: FeatureValues) -> Tensor:
    """Returns the department's newest mean for a series without any sales so far, else 0."""
    department = values.first_known(DEPT_NEWEST_FIRST, values.zero)
    return torch.where(values.without_history(), department, values.zero)


def naive(values: FeatureValues) -> Tensor:
    """Returns the newest known sales of the series."""
    return values.first_known((*OWN_NEWEST_FIRST, *MEANS), _new(values))


def seasonal_naive(values: FeatureValues) -> Tensor:
    """Returns the sales 52 weeks before the target week, or else ``naive``."""
    return values.first_known(("last_year",), naive(values))


def _mean_of(weeks: int) -> Formula:
    """Returns the formula of the mean of the last weeks."""
    names = tuple(dict.fromkeys((f"rolling_mean_{weeks}", *MEANS)))
    return lambda values: values.first_known(names, naive(values))


def seasonal_average(values: FeatureValues) -> Tensor:
    """Returns the mean of four forecasts that know the season.

    They are last year's week, the same with half of this year's growth (in logs), the weeks around it with
    that growth, and the mean of 13 weeks with the department's season. Where last year is unknown, each
    of them falls back on the mean of 13 weeks, with the department's season where that is known. In a data
    set with holidays of its own, last year's week is the one that is alike.
    """
    quarter = _mean_of(13)(values) * values.season()
    year_ago = values.last_year(quarter)
    before, after = (values.first_known((name,), year_ago) for name in LAST_YEAR_NEIGHBOURS)
    around = (before + 2 * year_ago + after) / 4
    # Growth helps less, the further ahead it is held; a half is a compromise for all weeks ahead.
    growth = torch.where(values.known("last_year"), values.ratio(*GROWTH).sqrt(), values.one)
    return (year_ago + year_ago * growth + around * growth + quarter) / 4


def structural(values: FeatureValues) -> Tensor:
    """Returns the structural forecast, or else the mean of 13 weeks with the department's season."""
    return values.structural(_mean_of(13)(values) * values.season())


def _intermittent(feature: str) -> Formula:
    """Returns the formula of a method for intermittent series, whose forecast is a feature.

    Data without intermittent series lack the feature, and a series without a sale has no value: there the
    mean of 52 weeks counts.
    """

    def forecast(values: FeatureValues) -> Tensor:
        return values.first_known(values.present(feature), _mean_of(52)(values))

    return forecast


@dataclass(frozen=True)
class NamedFormula:
    """A formula that competes with others.

    Attributes:
        name: Name in messages.
        preset: Preset of a model with this formula.
        forecast: The formula.
        feature: Feature without which it has nothing of its own; None if every data set has its features.
    """

    name: str
    preset: Preset
    forecast: Formula
    feature: str | None = None


#: Presets for intermittent series, and the features with their forecasts.
_METHODS: tuple[tuple[Preset, tuple[str, ...]], ...] = (("croston", CROSTON), ("tsb", TSB))
_NAIVE = (NamedFormula("naive", "naive", naive),)
_SEASONAL_NAIVE = (NamedFormula("seasonal_naive", "seasonal_naive", seasonal_naive),)
_MOVING_AVERAGE = tuple(
    NamedFormula(f"moving_average of {weeks} weeks", "moving_average", _mean_of(weeks))
    for weeks in MOVING_AVERAGE_WEEKS
)
_SEASONAL_AVERAGE = (NamedFormula("seasonal_average", "seasonal_average", seasonal_average),)
_STRUCTURAL = (NamedFormula("structural", "structural", structural),)
_CROSTON, _TSB = (
    tuple(
        NamedFormula(f"{preset} with {percent} %", preset, _intermittent(name), name)
        for name, percent in zip(names, CONSTANTS, strict=True)
    )
    for preset, names in _METHODS
)
#: Preset -> formulas that compete in it; ``simple`` has those of all others.
FORMULAS: dict[Preset, tuple[NamedFormula, ...]] = {
    "naive": _NAIVE,
    "seasonal_naive": _SEASONAL_NAIVE,
    "moving_average": _MOVING_AVERAGE,
    "seasonal_average": _SEASONAL_AVERAGE,
    "structural": _STRUCTURAL,
    "croston": _CROSTON,
    "tsb": _TSB,
    "simple": (
        *_NAIVE,
        *_SEASONAL_NAIVE,
        *_MOVING_AVERAGE,
        *_SEASONAL_AVERAGE,
        *_STRUCTURAL,
        *_CROSTON,
        *_TSB,
    ),
}


class _FormulaInputs(Preparation):
    """Level and spread of the series.

    ``forecasts`` is the chosen formula in US dollars, not divided by the level: a naive forecast repeats the
    last week to the last bit.

    Attributes:
        formula: The chosen formula.
    """

    def __init__(self, features: Sequence[ModelFeature], horizon_weeks: int, formula: NamedFormula) -> None:
        super().__init__(features, horizon_weeks)
        self.formula = formula

    def forward(self, features: Tensor, horizon: Tensor) -> ModelInputs:  # noqa: ARG002
        """See ``Preparation``."""
        values = FeatureValues(self._columns, features)
        mean = values.first_known(MEANS, naive(values)).abs()
        # Of an intermittent series, the last 13 weeks may have no sale at all.
        spreads = SPREADS[::-1] if CROSTON[0] in self._columns else SPREADS
        spread = values.first_known(spreads, values.zero)
        spread = torch.maximum(spread, _MIN_SPREAD * mean) + self.floor_usd
        forecast = self.formula.forecast(values)
        none = torch.zeros_like(forecast)[:, None]
        return ModelInputs(
            mean + self.floor_usd, forecast[:, None], spread[:, None], none, forecast, forecast
        )


class _FormulaMember(Member):
    """A formula with intervals in proportion to the spread of the series."""

    def __init__(self, prepare: _FormulaInputs) -> None:
        super().__init__()
        self.prepare = prepare
        self.standardize = Standardization(1)
        self.weight_decay = 0.0

    def forecast(self, prepared: ModelInputs, store: Tensor, dept: Tensor) -> MemberForecast:  # noqa: ARG002
        """See ``Member``; ignores store and department."""
        spread = prepared.inputs[:, 0]
        distances = torch.stack([_INNER * spread, _OUTER * spread] * 2, dim=1)
        return MemberForecast(prepared.forecasts[:, 0], distances, torch.zeros_like(spread))


class SimpleForecast(Network):
    """One of several formulas.

    Attributes:
        formulas: Formulas that compete, those of which the data set has the features.
        chosen: The formula in use; the first one until the validation weeks choose.
    """

    def __init__(
        self, formulas: Sequence[NamedFormula], features: Sequence[ModelFeature], horizon_weeks: int
    ) -> None:
        columns = feature_columns(features)
        # Without features of their own, all formulas of a preset are the same mean.
        usable = [f for f in formulas if f.feature is None or f.feature in columns] or formulas[:1]
        prepare = _FormulaInputs(features, horizon_weeks, usable[0])
        super().__init__(len(features), horizon_weeks, [_FormulaMember(prepare)])
        self.formulas, self.chosen, self._columns = usable, usable[0], columns
        # A missing feature is an error at once, not only where its formula is chosen.
        self.forecasts(torch.zeros(1, len(features), dtype=torch.float64))

    def choose(self, index: int) -> None:
        """Uses another formula."""
        self.chosen = self.formulas[index]
        prepare = self.members[0].prepare
        assert isinstance(prepare, _FormulaInputs)
        prepare.formula = self.chosen

    def forecasts(self, features: Tensor) -> Tensor:
        """Returns the forecast of each formula, US dollars [P, N], from features [N, F]."""
        values = FeatureValues(self._columns, features)
        return torch.stack([formula.forecast(values) for formula in self.formulas])
