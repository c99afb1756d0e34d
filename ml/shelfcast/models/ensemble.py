"""The preset ``ensemble``: three networks of the preset ``global`` and boosted trees, averaged in one graph.

Each network begins at other random weights: what it learns of chance differs from the others, and averages
out. Trees err in another way than networks, and on some data far more: the validation weeks say how much they
count. docs/decisions/0027 has the figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from shelfcast.features.definitions import ModelFeature
from shelfcast.models.global_model import GlobalModel
from shelfcast.models.network import Answer, Inputs, Prepared
from shelfcast.models.trees import CUSTOM_OPSETS, Trees


class Ensemble(GlobalModel):
    """See the module.

    Attributes:
        trees: Have no part in the forecasts before they are fitted, after the networks.
    """

    custom_opsets = CUSTOM_OPSETS
    networks = 3
    usual_shares = (0.7, 0.3, 0.0)

    def __init__(
        self,
        features: Sequence[ModelFeature],
        stores: Sequence[int],
        depts: Sequence[int],
        horizon_weeks: int,
    ) -> None:
        super().__init__(features, stores, depts, horizon_weeks)
        self.trees = Trees(features)
        self.shares.copy_(torch.tensor((*GlobalModel.usual_shares, 0.0)))

    def _forecasts(self, inputs: Inputs, prepared: Prepared, answers: Sequence[Answer]) -> list[Tensor]:
        return [*super()._forecasts(inputs, prepared, answers), self.trees(inputs, prepared.level)]
