"""Fitting of a simple forecast: the validation weeks choose its formula and calibrate its intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from shelfcast.contracts.specs import Preset, TrainSpec
from shelfcast.features.samples import Floats
from shelfcast.models.simple import FORMULAS, SimpleForecast
from shelfcast.train.calibration import bound_at_zero, calibrate
from shelfcast.train.data import EpochSampler, Shard
from shelfcast.train.distributed import Processes
from shelfcast.train.minibatch import BatchReader, chunks
from shelfcast.train.normalization import fit_normalization


@dataclass(frozen=True)
class FittedSimple:
    """A fitted simple forecast.

    Attributes:
        model: The model, on the process's device.
        validation_wmae: WMAE of each formula on the validation weeks by name, US dollars.
    """

    model: SimpleForecast
    validation_wmae: dict[str, float]

    @property
    def description(self) -> str:
        """The choice in words."""
        name, count = self.model.chosen.name, len(self.validation_wmae)
        rank = f", the lowest of {count} simple forecasts" if count > 1 else ""
        return f"{name}: WMAE {self.validation_wmae[name]:.2f} USD on the validation weeks{rank}"


def fit_simple(
    preset: Preset, spec: TrainSpec, shard: Shard, file_sizes: Sequence[int], processes: Processes
) -> FittedSimple:
    """Fits a simple forecast; each process must call it.

    Args:
        preset: One of ``FORMULAS``.
        spec: Spec of the training.
        shard: Training data of this process.
        file_sizes: Number of training samples in each file.
        processes: Process group.
    """
    model = SimpleForecast(FORMULAS[preset], shard.table.features, spec.horizon_weeks)
    fit_normalization(model, shard, EpochSampler(file_sizes, spec.batch_size, spec.seed), processes)
    model = model.to(processes.device).eval()
    errors = _validation_wmae(model, shard, processes)
    # Of equal errors the first formula's counts, which is the simplest.
    model.choose(int(errors.argmin()))
    calibrate(model, shard, processes)
    bound_at_zero(model, shard, processes)
    names = [formula.name for formula in model.formulas]
    return FittedSimple(model, dict(zip(names, errors.tolist(), strict=True)))


@torch.no_grad()
def _validation_wmae(model: SimpleForecast, shard: Shard, processes: Processes) -> Floats:
    """Returns the WMAE of each formula over the validation samples of all processes, US dollars [P]."""
    sums = torch.zeros(len(model.formulas) + 1, dtype=torch.float64)
    reader = BatchReader(shard.table, processes.device)
    for samples in chunks(shard.validation):
        batch = reader.read(samples)
        errors = (model.forecasts(batch.inputs[0]) - batch.actual).abs() * batch.weight
        sums += torch.cat([errors, batch.weight[None]]).double().sum(dim=1).cpu()
    total = processes.all_reduce_sum(sums.numpy())
    result: Floats = total[:-1] / total[-1]
    return result
