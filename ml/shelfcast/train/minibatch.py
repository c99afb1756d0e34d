"""Minibatches: samples as tensors on the training device."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from shelfcast.calendar import HOLIDAY_WEIGHT
from shelfcast.features.own_holidays import holiday_flag
from shelfcast.features.samples import OriginTable
from shelfcast.train.data import Samples

#: Samples per forward pass without gradients; bounds memory.
_CHUNK = 8_192


@dataclass(frozen=True)
class Batch:
    """N samples as tensors.

    Attributes:
        inputs: Arguments of ``Network.forward``.
        actual: Sales in the target weeks, US dollars, float [N].
        weight: Weight of each sample in WMAE [N].
    """

    inputs: tuple[Tensor, Tensor, Tensor, Tensor]
    actual: Tensor
    weight: Tensor


class BatchReader:
    """Reads samples of a table as tensors.

    The whole table lies on the device if it fits: on a GPU that reads a minibatch in a quarter of the time
    that gathering on the CPU and copying takes.
    """

    def __init__(self, table: OriginTable, device: torch.device) -> None:
        """Moves the table to the device if it fits.

        Args:
            table: The table; on the CPU most of it is shared, not copied.
            device: Device of the minibatches.
        """
        arrays = {
            "fixed": table.fixed,
            "ahead": table.ahead,
            "calendar": table.calendar,
            "calendar_row": table.calendar_row,
            "store": table.store,
            "dept": table.dept,
            "targets": table.targets,
        }
        self._device = device
        fits = sum(array.nbytes for array in arrays.values()) <= _room(device)
        self._home = device if fits else torch.device("cpu")
        self._table = {
            # Torch has no read-only tensors, so Arrow's read-only memory is copied.
            name: torch.from_numpy(np.require(array, requirements="W")).to(self._home)
            for name, array in arrays.items()
        }
        self._runs = table.runs
        names = [feature.name for feature in table.features]
        self._holiday = names.index(holiday_flag(names))

    def read(self, samples: Samples) -> Batch:
        """Returns the samples as a minibatch, in the same order."""
        table = self._table
        rows, horizon = torch.from_numpy(np.stack([samples.rows, samples.horizons])).to(self._home)
        parts = {
            "fixed": table["fixed"].index_select(0, rows),
            "ahead": table["ahead"][rows, horizon - 1],
            "calendar": table["calendar"].index_select(0, table["calendar_row"][rows] + horizon),
        }
        features = torch.cat([parts[part][:, columns] for part, columns in self._runs], dim=1)
        actual = table["targets"][rows, horizon - 1].float()
        weight = torch.where(features[:, self._holiday] > 0, HOLIDAY_WEIGHT, 1.0)
        inputs = features, table["store"][rows], table["dept"][rows], horizon
        features, store, dept, horizon = (tensor.to(self._device) for tensor in inputs)
        return Batch((features, store, dept, horizon), actual.to(self._device), weight.to(self._device))


def _room(device: torch.device) -> float:
    """Returns the bytes that a table may take: half of a GPU's free memory, unbounded on the CPU."""
    return torch.cuda.mem_get_info(device)[0] / 2 if device.type == "cuda" else math.inf


def chunks(samples: Samples) -> Iterator[Samples]:
    """Splits samples into chunks that fit into memory."""
    for start in range(0, len(samples), _CHUNK):
        yield samples.take(slice(start, start + _CHUNK))
