"""The preset ``global``: for all series and all numbers of weeks ahead; docs/decisions/0025 tells why so.

Three forecasts that err differently, averaged by fixed shares: a mix led by summaries of the series, a mix led
by its weeks, and last year's sales with this year's growth.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from shelfcast.features.definitions import ModelFeature
from shelfcast.features.presets import declared_names
from shelfcast.models.network import Answer, IdEmbedding, Mix, MixBody, Network, Prepared, perceptron
from shelfcast.models.summaries import Summaries
from shelfcast.models.windows import Windows

#: Of the two networks and of last year's sales with growth.
_SHARES = (0.3, 0.3, 0.4)
#: Weight decay is strong, since weeks are few however many series there are: the network must not learn them
#: by heart.
_HIDDEN = 128
_SUMMARIES_DECAY, _WINDOWS_DECAY = 1.0, 0.02
#: As a share of a mix. What the training has not seen, the mix forecasts better than a network; but what a
#: column of the user's own says, no simple forecast knows.
_LARGEST_CORRECTION, _LARGEST_WITH_OWN_COLUMNS = 0.05, 0.5


class GlobalModel(Network):
    """See the module.

    Attributes:
        networks: How many of each kind; ``combine`` gets one answer of each kind.
    """

    networks = 1

    def __init__(
        self,
        features: Sequence[ModelFeature],
        stores: Sequence[int],
        depts: Sequence[int],
        horizon_weeks: int,
    ) -> None:
        count, own_columns = len(features), bool(declared_names(features))
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
        # Last year does not know what a column of the user's own says of the target week.
        self._corrects_seasonal = own_columns

    def combine(self, prepared: Sequence[Prepared], answers: Sequence[Answer]) -> Answer:
        """See ``Network``."""
        first = prepared[0]
        correction = torch.stack([answer.correction for answer in answers]).mean(dim=0)
        seasonal = first.seasonal * first.level
        if self._corrects_seasonal:
            seasonal = seasonal * (1 + correction)
        medians = [*(answer.median for answer in answers), seasonal]
        median = sum(share * forecast for share, forecast in zip(_SHARES, medians, strict=True))
        assert isinstance(median, torch.Tensor)
        distances = torch.stack([answer.distances for answer in answers]).mean(dim=0)
        return Answer(median, distances, correction)
