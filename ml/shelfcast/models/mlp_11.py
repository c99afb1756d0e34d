"""The preset ``mlp-11``: the network of a published demo, as a baseline.

It has 11 inputs and layers of 256, 128 and 64 units with batch normalization, ReLU and dropout. Unlike the
demo it forecasts all quantiles and several weeks ahead; its median corrects the mean of the last 13 weeks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from shelfcast.contracts.model import ModelFeature
from shelfcast.features.feature_groups import MLP_11, MLP_11_LEVELS
from shelfcast.features.own_holidays import holiday_flag
from shelfcast.models.feature_values import FeatureValues
from shelfcast.models.network import (
    QUANTILE_OUTPUTS,
    Member,
    MemberForecast,
    ModelInputs,
    Network,
    Preparation,
    Standardization,
    quantile_forecast,
)

_WIDTHS = (256, 128, 64)
_DROPOUT = 0.2
_MAX_CORRECTION = 2.0
#: The inputs in US dollars.
_DOLLARS = MLP_11[:8]


class _Inputs(Preparation):
    """The eleven inputs; dollars are divided by the level."""

    def forward(self, features: Tensor, horizon: Tensor) -> ModelInputs:
        """See ``Preparation``."""
        values = FeatureValues(self._columns, features)
        mean = values.first_known(("rolling_mean_13", *MLP_11_LEVELS), values.zero)
        level = mean.abs() + self.floor_usd
        dollars, known = values.matrix(_DOLLARS)
        others, _ = values.matrix([*MLP_11[len(_DOLLARS) : -1], holiday_flag(self._columns)])
        scaled = torch.where(known, dollars / level[:, None], 1.0).clamp(-10, 10)
        base = (mean / level)[:, None]
        inputs = torch.cat([scaled, others, horizon[:, None].float()], dim=1)
        return ModelInputs(level, base, inputs, torch.zeros_like(base), base[:, 0], base[:, 0])


class _Perceptron(Member):
    def __init__(self, features: Sequence[ModelFeature], horizon_weeks: int) -> None:
        super().__init__()
        self.prepare = _Inputs(features, horizon_weeks)
        self.weight_decay = 0.01
        # The horizon is an additional input.
        widths = (len(MLP_11) + 1, *_WIDTHS)
        self.standardize = Standardization(widths[0])
        layers: list[nn.Module] = []
        for width, following in pairwise(widths):
            layers += [
                nn.Linear(width, following),
                nn.BatchNorm1d(following),
                nn.ReLU(),
                nn.Dropout(_DROPOUT),
            ]
        self.body = nn.Sequential(*layers, nn.Linear(widths[-1], QUANTILE_OUTPUTS))

    def forecast(self, prepared: ModelInputs, store: Tensor, dept: Tensor) -> MemberForecast:
        """See ``Member``; ignores store and department."""
        outputs = self.body(self.standardize(prepared.inputs))
        # Tracing drops unused inputs, but predictors pass all of them.
        base = prepared.forecasts[:, 0] + 0.0 * (store.clamp(0, 1) + dept.clamp(0, 1))
        return quantile_forecast(base, outputs, prepared.level, _MAX_CORRECTION)


class Mlp11(Network):
    """A single perceptron."""

    def __init__(
        self,
        features: Sequence[ModelFeature],
        stores: Sequence[int],  # noqa: ARG002
        depts: Sequence[int],  # noqa: ARG002
        horizon_weeks: int,
    ) -> None:
        super().__init__(len(features), horizon_weeks, [_Perceptron(features, horizon_weeks)])
