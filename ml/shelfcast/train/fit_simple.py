"""Fitting of the simple forecasts: the validation weeks rank the formulas and calibrate their intervals."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from shelfcast.contracts.results import GATE_BASELINES
from shelfcast.contracts.specs import Preset, TrainSpec
from shelfcast.features.samples import Floats
from shelfcast.models.simple import FORMULAS, SimpleForecast
from shelfcast.train.calibration import bound_at_zero, calibrate
from shelfcast.train.data import EpochSampler, Shard
from shelfcast.train.distributed import Processes
from shelfcast.train.level_calibration import calibrate_levels
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
        return f"{name}: WMAE {self.validation_wmae[name]:.2f} on the validation weeks{rank}"


def fit_simple(
    preset: Preset, spec: TrainSpec, shard: Shard, file_sizes: Sequence[int], processes: Processes
) -> FittedSimple:
    """Fits the best formula of a preset; each process must call it. See ``rank_simple``."""
    return rank_simple(preset, spec, shard, file_sizes, processes, most=1)[0]


def rank_simple(
    preset: Preset,
    spec: TrainSpec,
    shard: Shard,
    file_sizes: Sequence[int],
    processes: Processes,
    most: int | None = None,
) -> list[FittedSimple]:
    """Fits the formulas of a preset, the one with the lowest error first; each process must call it.

    It leaves out formulas with a higher error than both naive forecasts, which the gate tries before them: on
    the test weeks one of the two loses to no baseline.

    Args:
        preset: One of ``FORMULAS``.
        spec: Spec of the training.
        shard: Training data of this process.
        file_sizes: Number of training samples in each file.
        processes: Process group.
        most: Maximum number of formulas; None for all.
    """
    model = SimpleForecast(FORMULAS[preset], shard.table.features, spec.horizon_weeks)
    fit_normalization(model, shard, EpochSampler(file_sizes, spec.batch_size, spec.seed), processes)
    model = model.to(processes.device).eval()
    errors = _validation_wmae(model, shard, processes)
    names = [formula.name for formula in model.formulas]
    validation_wmae = dict(zip(names, errors.tolist(), strict=True))
    ranked: list[FittedSimple] = []
    # Of equal errors the first formula's counts, which is the simplest.
    for index in errors.argsort(kind="stable")[:most]:
        if {fitted.model.chosen.name for fitted in ranked} >= set(GATE_BASELINES):
            break
        one = copy.deepcopy(model)
        one.choose(int(index))
        calibrate(one, shard, processes)
        bound_at_zero(one, shard, processes)
        calibrate_levels(one, shard, processes)
        ranked.append(FittedSimple(one, validation_wmae))
    return ranked


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
