"""The preset ``lstm``: a recurrent network over the last 13 weeks weighs the simple forecasts.

It reads the sales of the series and of its department week by week. Its last state is concatenated with the
embeddings, last year's weeks and the features of the target week. Source: Hochreiter and Schmidhuber, "Long
Short-Term Memory", Neural Computation 9 (1997).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shelfcast.contracts.model import ModelFeature
from shelfcast.features.feature_groups import LAST_YEAR_WINDOW, OWN_WINDOW
from shelfcast.models.network import ForecastMixture, IdEmbedding, MixtureBody, Network, perceptron
from shelfcast.models.windows import Windows

_STATE, _HIDDEN = 48, 128
_DECAY = 1.0
_MAX_CORRECTION = 0.05
_WEEKS = len(OWN_WINDOW)
#: First column of the department's window in the inputs of ``Windows``, after the series' window and last
#: year's, each with its flags.
_DEPT_START = 2 * _WEEKS + 2 * len(LAST_YEAR_WINDOW)


class _WeekByWeek(nn.Module):
    """Reads the windows as three sequences; all other inputs bypass the LSTM."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        # A cell instead of nn.LSTM: its backward pass works in eval mode on a GPU, and with an empty batch.
        self.cell = nn.LSTMCell(3, _STATE)
        self.layers = perceptron(nn.GELU)(inputs - 3 * _WEEKS + _STATE, hidden)

    def forward(self, inputs: Tensor) -> Tensor:
        """Maps inputs of ``Windows`` and embeddings [N, I] to [N, hidden]."""
        sales, known, dept = (inputs[:, start : start + _WEEKS] for start in (0, _WEEKS, _DEPT_START))
        bypass = [inputs[:, 2 * _WEEKS : _DEPT_START], inputs[:, _DEPT_START + _WEEKS :]]
        states: tuple[Tensor, Tensor] | None = None
        # Windows start with the newest week.
        for week in reversed(range(_WEEKS)):
            values = torch.stack([sales[:, week], known[:, week], dept[:, week]], dim=1)
            states = self.cell(values, states)
        assert states is not None
        result: Tensor = self.layers(torch.cat([states[0], *bypass], dim=1))
        return result


class Lstm(Network):
    """One mixture with an LSTM as its body."""

    def __init__(
        self,
        features: Sequence[ModelFeature],
        stores: Sequence[int],
        depts: Sequence[int],
        horizon_weeks: int,
    ) -> None:
        windows = Windows(features, horizon_weeks)
        body = MixtureBody(_WeekByWeek, _HIDDEN, _DECAY, _MAX_CORRECTION)
        embeddings = IdEmbedding(stores, 6), IdEmbedding(depts, 12)
        super().__init__(
            len(features), horizon_weeks, [ForecastMixture(windows, len(features), embeddings, body)]
        )
