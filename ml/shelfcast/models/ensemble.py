"""The preset ``ensemble``: three networks of the preset ``global``, averaged.

Each begins at other random weights. What it learns of chance differs from the others, and averages out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from shelfcast.models.global_model import GlobalModel
from shelfcast.models.network import Answer, Prepared


class Ensemble(GlobalModel):
    """See the module."""

    networks = 3

    def combine(self, prepared: Sequence[Prepared], answers: Sequence[Answer]) -> Answer:
        """See ``Network``. The blend of averages is the average of blends: its shares are fixed."""
        kinds = len(answers) // self.networks
        return super().combine(prepared[:kinds], [_mean(answers[kind::kinds]) for kind in range(kinds)])


def _mean(answers: Sequence[Answer]) -> Answer:
    return Answer(
        torch.stack([answer.median for answer in answers]).mean(dim=0),
        torch.stack([answer.distances for answer in answers]).mean(dim=0),
        torch.stack([answer.correction for answer in answers]).mean(dim=0),
    )
