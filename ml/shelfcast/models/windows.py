"""Preparation from weekly windows: weeks before the origin, and weeks around the target a year ago.

It is part of the exported graph, so training and serving cannot differ.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from shelfcast.features.feature_groups import (
    DEPT_WINDOW,
    LAST_YEAR_WINDOW,
    NAMED_EVERYWHERE,
    NAMED_HOLIDAYS,
    OWN_WINDOW,
)
from shelfcast.features.own_holidays import has_own_holidays, without_replaced
from shelfcast.models.feature_values import FeatureValues, damped
from shelfcast.models.network import ModelInputs, Preparation

#: Number of weeks in the mean that is the level.
_LEVEL_WEEKS = 8
#: Minimum level of a series out of season, as a share of its mean over the year.
_YEAR_SHARE = 0.25
#: Distances to a holiday with an indicator input each, in weeks.
_NEAR_WEEKS = (-2, -1, 0, 1, 2)
_FAR_WEEKS = 8
#: Penalty on every logit except the seasonal forecast's, from which an untrained network thus starts.
_INITIAL_PENALTY = 2.0
#: Features of the target week that are inputs as they are.
_WEEK = (
    "christmas_shift",
    "easter_shift",
    "december_days_before_christmas",
    "is_holiday",
    "is_holiday_last_year",
)
_WEEKS_A_YEAR = 365.2425 / 7


class Windows(Preparation):
    """Level, simple forecasts and inputs from windows."""

    def forward(self, features: Tensor, horizon: Tensor) -> ModelInputs:
        """See ``Preparation``."""
        values = FeatureValues(self._columns, features)
        new = torch.where(values.without_history(), values.get("dept_mean_4"), values.zero)
        quarter = values.first_known(("rolling_mean_13", "rolling_mean_52"), new)
        own, own_known = values.matrix(OWN_WINDOW)
        recent, any_recent = _mean(own[:, :_LEVEL_WEEKS], own_known[:, :_LEVEL_WEEKS])
        recent = torch.where(any_recent, recent, quarter)
        year = values.first_known(("rolling_mean_52",), quarter)
        level = torch.maximum(recent.abs(), _YEAR_SHARE * year.abs()) + self.floor_usd
        own = torch.where(own_known, own, recent[:, None])
        season = values.season()
        growth = tuple(damped(ratio, horizon) for ratio in self._growth(values))
        year_ago = values.first_known(("last_year",), quarter * season)
        around, around_known = values.matrix(LAST_YEAR_WINDOW)
        around = torch.where(around_known, around, year_ago[:, None])
        aligned = values.last_year(year_ago)
        seasonal = aligned * growth[0]
        structural = values.structural(quarter * season)
        averages = [
            seasonal,
            structural,
            aligned * growth[1],
            quarter * season,
            values.first_known(("rolling_mean_4",), recent),
            quarter,
            values.first_known(("rolling_median_13",), quarter),
            year,
            recent,
        ]
        forecasts = torch.cat([own, around, torch.stack(averages, dim=1)], dim=1) / level[:, None]
        seasonal_column = own.shape[1] + around.shape[1]
        structural_column = seasonal_column + 1
        column = torch.arange(forecasts.shape[1], device=features.device)
        others = (column != seasonal_column) & (column != structural_column)
        penalty = _INITIAL_PENALTY * values.one[:, None] * others.float()
        windows = [
            (own / level[:, None]).clamp(-5, 5),
            own_known.float(),
            (around / level[:, None]).clamp(-5, 10),
            around_known.float(),
            self._department(values),
        ]
        sizes = self._sizes(values, level, quarter, year)
        inputs = [
            *windows,
            torch.stack([season, *growth, *sizes, (structural / level).clamp(-5, 10)], dim=1),
            self._week(values, horizon),
            values.of_any_unit(self._covariates),
            *values.holidays(),
        ]
        lifted, lifted_seasonal = values.lifted(forecasts), values.lifted(seasonal / level)
        structural_lifted = lifted[:, structural_column]
        return ModelInputs(
            level, lifted, torch.cat(inputs, dim=1), penalty, lifted_seasonal, structural_lifted
        )

    def _growth(self, values: FeatureValues) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the year-on-year growth of series, department and store, each [N]."""
        names = ("year_on_year_13", "dept_year_on_year_13", "store_year_on_year_13")
        return values.ratio(*names), values.ratio(*names[1:]), values.ratio(*names[2:])

    def _department(self, values: FeatureValues) -> Tensor:
        """Returns the department's window, divided by its recent mean [N, 13]."""
        sales, known = values.matrix(DEPT_WINDOW)
        mean, _ = _mean(sales[:, :_LEVEL_WEEKS], known[:, :_LEVEL_WEEKS])
        return torch.where(known, sales / mean.clamp(min=1.0)[:, None], 1.0).clamp(0, 5)

    def _sizes(
        self, values: FeatureValues, level: Tensor, quarter: Tensor, year: Tensor
    ) -> tuple[Tensor, ...]:
        """Returns scale inputs of the series, in levels, and of the store, each [N]."""
        year_ago = values.first_known(("last_year_mean_13",), quarter)
        return (
            (year_ago / level).clamp(-5, 10),
            values.known("last_year_mean_13").float(),
            (values.get("rolling_std_13") / level).clamp(0, 5),
            (quarter / level).clamp(-5, 5),
            (year / level).clamp(-5, 5),
            level.log(),
            values.get("size").clamp(min=0).log1p(),
            (values.get("type_code") == 1).float(),
            (values.get("type_code") == 2).float(),
        )

    def _week(self, values: FeatureValues, horizon: Tensor) -> Tensor:
        """Returns calendar inputs of the target week, and the horizon [N, C]."""
        columns = []
        own = has_own_holidays(self._columns)
        for name in NAMED_EVERYWHERE if own else NAMED_HOLIDAYS:
            distance = values.get(f"weeks_to_{name}")
            columns += [(distance == weeks).float() for weeks in _NEAR_WEEKS]
            columns.append(distance.clamp(-_FAR_WEEKS, _FAR_WEEKS))
        angle = values.get("week_of_year") * (2 * math.pi / _WEEKS_A_YEAR)
        ahead = horizon.float()
        columns += [angle.sin(), angle.cos(), (2 * angle).sin(), (2 * angle).cos()]
        columns += [values.get(name) for name in without_replaced(_WEEK, self._columns)]
        columns += [ahead / self._horizon_weeks, 1 / ahead.clamp(min=1)]
        return torch.stack(columns, dim=1)


def _mean(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the mean of the known values, 0 if there are none, and whether there are any, both [N]."""
    count = known.float().sum(dim=1)
    return torch.where(known, values, 0.0).sum(dim=1) / count.clamp(min=1), count > 0
