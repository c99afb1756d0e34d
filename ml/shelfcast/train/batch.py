"""Samples as the network takes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from shelfcast.calendar import HOLIDAY_WEIGHT
from shelfcast.features.samples import OriginTable
from shelfcast.train.data import Samples

#: Samples computed at a time where no gradient is needed; bounds memory.
_CHUNK = 8_192


@dataclass(frozen=True)
class Batch:
    """N samples.

    Attributes:
        inputs: Arguments of ``Network.forward``.
        actual: Sales in the target weeks, US dollars, float [N].
        weight: Weight of each sample in WMAE [N].
    """

    inputs: tuple[Tensor, Tensor, Tensor, Tensor]
    actual: Tensor
    weight: Tensor


def read_batch(table: OriginTable, samples: Samples, device: torch.device) -> Batch:
    """Reads samples of a table, in their order."""
    rows, horizons = samples.rows, samples.horizons
    holiday = next(place for place, feature in enumerate(table.features) if feature["name"] == "is_holiday")
    arrays = table.matrix(rows, horizons), table.store[rows], table.dept[rows], horizons
    features, store, dept, horizon = (torch.from_numpy(array).to(device) for array in arrays)
    actual = torch.from_numpy(table.targets[rows, horizons - 1]).float().to(device)
    weight = torch.where(features[:, holiday] > 0, HOLIDAY_WEIGHT, 1.0)
    return Batch((features, store, dept, horizon), actual, weight)


def chunks(samples: Samples) -> Iterator[Samples]:
    """Cuts samples into pieces that fit into memory."""
    for start in range(0, len(samples), _CHUNK):
        yield samples.take(slice(start, start + _CHUNK))
