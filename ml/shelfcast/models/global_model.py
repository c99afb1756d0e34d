"""The preset ``global``: for all series and all numbers of weeks ahead; docs/decisions/0025 tells why so.

Three forecasts that err differently, averaged: a mix led by summaries of the series, a mix led by its weeks,
and last year's sales with this year's growth, whose share the validation weeks choose in part.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shelfcast.features.definitions import ModelFeature
from shelfcast.features.feature_groups import covariate_names
from shelfcast.models.network import (
    Answer,
    IdEmbedding,
    Inputs,
    Mix,
    MixBody,
    Network,
    Prepared,
    perceptron,
)
from shelfcast.models.summaries import Summaries
from shelfcast.models.windows import Windows

_HIDDEN = 128
#: Of weights. Strong where the inputs tell one week from another: weeks are few however many series there
#: are, and the network must not learn them by heart.
_SUMMARIES_DECAY, _WINDOWS_DECAY = 1.0, 0.02
#: As a share of a mix. What the training has not seen, the mix forecasts better than a network; but what a
#: column of the user's own says, no simple forecast knows.
_LARGEST_CORRECTION, _LARGEST_WITH_OWN_COLUMNS = 0.05, 0.5


class GlobalModel(Network):
    """See the module.

    Attributes:
        networks: How many of each kind.
        usual_shares: Of each of its ``forecasts``, where nothing else is known: what few weeks of validation
            like best is half of it, this the other half.
        shares: Of each of its ``forecasts`` in the median, of 1 altogether [P].
    """

    networks = 1
    usual_shares: tuple[float, ...] = (0.6, 0.4)
    shares: Tensor

    def __init__(
        self,
        features: Sequence[ModelFeature],
        stores: Sequence[int],
        depts: Sequence[int],
        horizon_weeks: int,
    ) -> None:
        count, own_columns = len(features), bool(covariate_names(features))
        correction = _LARGEST_WITH_OWN_COLUMNS if own_columns else _LARGEST_CORRECTION
        summaries_body = MixBody(perceptron(nn.SiLU), _HIDDEN, _SUMMARIES_DECAY, correction)
        windows_body = MixBody(perceptron(nn.GELU), _HIDDEN, _WINDOWS_DECAY, correction)
        summaries = Summaries(features, horizon_weeks)
        windows = Windows(features, horizon_weeks)
        members = []
        for _ in range(self.networks):
            members += [
                Mix(summaries, count, (IdEmbedding(stores, 4), IdEmbedding(depts, 8)), summaries_body),
                Mix(windows, count, (IdEmbedding(stores, 6), IdEmbedding(depts, 12)), windows_body),
            ]
        super().__init__(count, horizon_weeks, members)
        self.register_buffer("shares", torch.tensor(self.usual_shares))
        # Last year does not know what a column of the user's own says of the target week.
        self._corrects_seasonal = own_columns

    def combine(self, inputs: Inputs, prepared: Sequence[Prepared], answers: Sequence[Answer]) -> Answer:
        """See ``Network``."""
        correction = _mean([answer.correction for answer in answers])
        forecasts = torch.stack(self._forecasts(inputs, prepared[0], answers))
        median = (self.shares[:, None] * forecasts).sum(dim=0)
        return Answer(median, _mean([answer.distances for answer in answers]), correction)

    def forecasts(self, features: Tensor, store: Tensor, dept: Tensor, horizon: Tensor) -> Tensor:
        """Returns what the median is made of: the mixes, last year's and others, [P, N]; see ``forward``."""
        inputs = features, store, dept, horizon
        prepared, answers = self._answers(inputs)
        return torch.stack(self._forecasts(inputs, prepared[0], answers))

    def _forecasts(
        self,
        inputs: Inputs,  # noqa: ARG002
        prepared: Prepared,
        answers: Sequence[Answer],
    ) -> list[Tensor]:
        seasonal = prepared.seasonal * prepared.level
        if self._corrects_seasonal:
            seasonal = seasonal * (1 + _mean([answer.correction for answer in answers]))
        return [_mean([answer.median for answer in answers]), seasonal]


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean(dim=0)
