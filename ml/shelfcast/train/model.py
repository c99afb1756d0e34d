"""The preset ``global``: one network for all series and all numbers of weeks ahead."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from shelfcast.features.definitions import ModelFeature
from shelfcast.train.inputs import FLAT_FORECASTS, FeaturePreparation, Standardization

PRESET = "global"
#: Of the output's columns.
QUANTILES = (0.1, 0.5, 0.9)

_HIDDEN = 128
_STORE_SIZE = 4
_DEPT_SIZE = 8
#: No simple forecast gets all or nothing: errors of several cancel out.
_LARGEST_LOGIT = 2.0
#: Times the season's shift, off the logits of flat forecasts: where last year rose or fell by a third of the
#: level they count for little. Not learned: what is trained on holds most holidays once, if at all.
_SEASON_PENALTY = 10.0
#: As a share of the mix. What the training has not seen, the mix forecasts better than a network.
_LARGEST_CORRECTION = 0.15


class IdEmbedding(nn.Module):
    """Learned vectors of known ids; an unknown id gets their mean."""

    known: Tensor

    def __init__(self, known: Sequence[int], size: int) -> None:
        super().__init__()
        self.register_buffer("known", torch.tensor(sorted(known), dtype=torch.int64))
        self.vectors = nn.Parameter(torch.randn(len(known), size) * 0.1)

    def forward(self, ids: Tensor) -> Tensor:
        """Returns a vector for each id, [N] -> [N, size]."""
        matches = ids[:, None] == self.known
        # Index 0 is the unknown id's own.
        index = torch.where(matches.any(dim=1), matches.int().argmax(dim=1) + 1, 0)
        table = torch.cat([self.vectors.mean(dim=0, keepdim=True), self.vectors])
        return table[index]


class GlobalModel(nn.Module):
    """Forecasts the quantiles of weekly sales.

    The median is a mix of simple forecasts (last weeks, last year with growth, the department's season) plus
    a small correction; the network decides both for each sample. The other quantiles are distances from it.
    """

    widening: Tensor
    mean_level_usd: Tensor

    def __init__(
        self,
        features: Sequence[ModelFeature],
        stores: Sequence[int],
        depts: Sequence[int],
        horizon_weeks: int,
    ) -> None:
        super().__init__()
        self.feature_count = len(features)
        self.prepare = FeaturePreparation(features, horizon_weeks)
        self.store = IdEmbedding(stores, _STORE_SIZE)
        self.dept = IdEmbedding(depts, _DEPT_SIZE)
        empty = self.prepare(
            torch.zeros(1, len(features), dtype=torch.float64), torch.ones(1, dtype=torch.int64)
        )
        inputs, forecasts = empty.inputs.shape[1], empty.forecasts.shape[1]
        self.standardize = Standardization(inputs)
        self.body = nn.Sequential(
            nn.Linear(inputs + _STORE_SIZE + _DEPT_SIZE, _HIDDEN),
            nn.SiLU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.SiLU(),
        )
        # Shares of the simple forecasts, the correction, and the distances of the lower and upper quantile.
        self.head = nn.Linear(_HIDDEN, forecasts + 3)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        # Of the training samples; the loss is in units of it.
        self.register_buffer("mean_level_usd", torch.tensor(1.0))
        # Factors that calibration sets, for each number of weeks ahead.
        self.register_buffer("widening", torch.ones(horizon_weeks))

    def forward(self, features: Tensor, store: Tensor, dept: Tensor, horizon: Tensor) -> Tensor:
        """Returns ``QUANTILES`` of sales in US dollars, float [N, 3], never crossing.

        Args:
            features: double [N, F] in the order given to the constructor, NaN where missing.
            store: int64 [N].
            dept: int64 [N].
            horizon: Weeks ahead from 1, int64 [N].
        """
        prepared = self.prepare(features, horizon)
        inputs = [self.standardize(prepared.inputs), self.store(store), self.dept(dept)]
        answer = self.head(self.body(torch.cat(inputs, dim=1)))
        logits = _LARGEST_LOGIT * torch.tanh(answer[:, :-3] / _LARGEST_LOGIT)
        flat = logits[:, :FLAT_FORECASTS] - _SEASON_PENALTY * prepared.season_shift[:, None]
        mix = torch.softmax(torch.cat([flat, logits[:, FLAT_FORECASTS:]], dim=1), dim=1)
        base = (mix * prepared.forecasts).sum(dim=1)
        unit = base.abs() + 0.1
        median = base + unit * _LARGEST_CORRECTION * torch.tanh(answer[:, -3])
        widening = self.widening[(horizon - 1).clamp(0, len(self.widening) - 1)]
        # softplus(-1.5) is 0.2: an interval of +-20 % to begin with.
        spread = functional.softplus(answer[:, -2:] - 1.5) * (unit * widening)[:, None]
        quantiles = torch.stack([median - spread[:, 0], median, median + spread[:, 1]], dim=1)
        answer_usd: Tensor = quantiles * prepared.level[:, None]
        return answer_usd
