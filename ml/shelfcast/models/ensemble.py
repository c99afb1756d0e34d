"""The preset ``ensemble``: three networks of the preset ``global`` and boosted trees, averaged in one graph.

The networks start from different random weights, so their random errors average out. The errors of trees
differ from the networks' and can be much larger, so the validation weeks choose their weight.
docs/decisions/0027 has the figures.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from shelfcast.contracts.model import ModelFeature
from shelfcast.models.global_model import GlobalModel
from shelfcast.models.network import Inputs, MemberForecast, ModelInputs
from shelfcast.models.trees import CUSTOM_OPSETS, Trees


class Ensemble(GlobalModel):
    """Networks and trees, averaged.

    Attributes:
        trees: The trees. They are fitted after the networks and forecast 0 until then.
    """

    custom_opsets = CUSTOM_OPSETS
    networks = 3
    prior_trained = (0.25, 0.15)

    def __init__(
        self,
        features: Sequence[ModelFeature],
        stores: Sequence[int],
        depts: Sequence[int],
        horizon_weeks: int,
    ) -> None:
        super().__init__(features, stores, depts, horizon_weeks)
        self.trees = Trees(features)

    def _trained(
        self, inputs: Inputs, prepared: ModelInputs, member_forecasts: Sequence[MemberForecast]
    ) -> list[Tensor]:
        networks = super()._trained(inputs, prepared, member_forecasts)
        return [*networks, self.trees(inputs, prepared.level)]
