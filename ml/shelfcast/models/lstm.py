"""The preset ``lstm``: a recurrent network over the quarter's weeks decides a mix of simple forecasts.

Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9 (1997). It reads the series and its
department week by week; its last state stands beside embeddings, last year's weeks and the target week.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shelfcast.features.definitions import ModelFeature
from shelfcast.features.feature_groups import LAST_YEAR_WINDOW, OWN_WINDOW
from shelfcast.models.network import IdEmbedding, Mix, MixBody, Network, perceptron
from shelfcast.models.windows import Windows

_STATE, _HIDDEN = 48, 128
_DECAY = 1.0
_LARGEST_CORRECTION = 0.05
_WEEKS = len(OWN_WINDOW)
#: Of the inputs of ``Windows``: last year's weeks and where they are known lie between series and department.
_DEPT_START = 2 * _WEEKS + 2 * len(LAST_YEAR_WINDOW)


class _WeekByWeek(nn.Module):
    """Reads the windows as three sequences, everything else beside them."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        # A cell, not the whole layer: its gradient is defined in evaluation on a GPU, and for no rows.
        self.cell = nn.LSTMCell(3, _STATE)
        self.layers = perceptron(nn.GELU)(inputs - 3 * _WEEKS + _STATE, hidden)

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns [N, hidden] of the inputs of ``Windows`` and embeddings [N, I]."""
        sales, known, dept = (inputs[:, start : start + _WEEKS] for start in (0, _WEEKS, _DEPT_START))
        beside = [inputs[:, 2 * _WEEKS : _DEPT_START], inputs[:, _DEPT_START + _WEEKS :]]
        states: tuple[Tensor, Tensor] | None = None
        # Windows have the newest week first.
        for week in reversed(range(_WEEKS)):
            values = torch.stack([sales[:, week], known[:, week], dept[:, week]], dim=1)
            states = self.cell(values, states)
        assert states is not None
        result: Tensor = self.layers(torch.cat([states[0], *beside], dim=1))
        return result


class Lstm(Network):
    """See the module."""

    def __init__(
        self,
        features: Sequence[ModelFeature],
        stores: Sequence[int],
        depts: Sequence[int],
        horizon_weeks: int,
    ) -> None:
        windows = Windows(features, horizon_weeks)
        body = MixBody(_WeekByWeek, _HIDDEN, _DECAY, _LARGEST_CORRECTION)
        embeddings = IdEmbedding(stores, 6), IdEmbedding(depts, 12)
        super().__init__(len(features), horizon_weeks, [Mix(windows, len(features), embeddings, body)])
