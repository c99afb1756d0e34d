"""``python -m shelfcast.train --dir DIR``: TrainSpec in, TrainResult out.

Runs alone, in the processes of ``shelfcast.ranks``, or in those of torchrun.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypedDict

import torch
from torch.distributed.elastic.multiprocessing.errors import record

from shelfcast.contracts.results import (
    EpochMetrics,
    SearchResult,
    SimpleForecastResult,
    StoppedBy,
    TrainResult,
    WideIntervals,
)
from shelfcast.contracts.specs import TrainSpec
from shelfcast.job import UserError, job_directory, main, read_spec, report_progress, write_json
from shelfcast.models.network import Network
from shelfcast.models.presets import build_network
from shelfcast.models.simple import FORMULAS, SimpleForecast
from shelfcast.train.calibration import bound_at_zero, calibrate, widest_week
from shelfcast.train.checkpoint import Checkpoints, NewestCheckpoint, config_hash
from shelfcast.train.data import EpochSampler, Shard, read_shard
from shelfcast.train.distributed import Processes, init_distributed
from shelfcast.train.export import write_model
from shelfcast.train.fit_simple import FittedSimple, fit_simple, rank_simple
from shelfcast.train.fit_trees import fit_trees
from shelfcast.train.level_calibration import calibrate_levels
from shelfcast.train.normalization import fit_normalization, known_ids
from shelfcast.train.progress import ProgressReporter
from shelfcast.train.restarts import Restarts
from shelfcast.train.search import search, search_epochs, with_parameters
from shelfcast.train.shares import choose_shares
from shelfcast.train.training import Trainer


def run(spec: TrainSpec, directory: Path) -> TrainResult | None:
    """Trains in all processes; rank 0 exports the model and returns the result, the others None."""
    restarts = Restarts(directory)
    with restarts.recording_failure():
        with init_distributed() as processes:
            shard = processes.raise_together(lambda: read_shard(spec, processes.rank, processes.world_size))
            counts = _training_counts(shard, processes)
            fit = _fit_simple if spec.preset in FORMULAS else _fit_network
            fitted = fit(spec, directory, shard, counts, restarts, processes)
            simple = rank_simple("simple", spec, shard, counts, processes) if spec.with_replacements else []
        return _outputs(spec, directory, shard, fitted, simple, restarts) if processes.is_rank_0 else None


@dataclass(frozen=True)
class _Fitted:
    """A fitted model, calibrated.

    Attributes:
        model: The model.
        epochs: Epochs of its training; none of a simple forecast.
        best_epoch: Epoch whose weights were kept.
        stopped_by: Reason why no further epoch was trained.
        searched: Result of the parameter search, if there was one.
        widest_week: See ``widest_week``; None where no other model is asked for.
    """

    model: Network
    epochs: list[EpochMetrics]
    best_epoch: int
    stopped_by: StoppedBy
    searched: SearchResult | None = None
    widest_week: float | None = None


def _fit_network(
    spec: TrainSpec,
    directory: Path,
    shard: Shard,
    counts: list[int],
    restarts: Restarts,
    processes: Processes,
) -> _Fitted:
    prepare = partial(_trainer, shard, counts, processes)
    searched = None if spec.search is None else search(spec, directory, processes, prepare)
    parameters = None if searched is None else searched.best.parameters
    if parameters is not None:
        spec = with_parameters(spec, parameters)
    trainer = prepare(spec, 1.0 if parameters is None else parameters.weight_decay_factor)
    checkpoints = Checkpoints(directory, config_hash(spec, parameters), processes.description)
    _train(trainer, spec, directory, checkpoints, restarts, processes)
    tell = partial(report_progress, directory)
    fit_trees(trainer.model, shard, counts, spec.seed, processes, tell)
    choose_shares(trainer.model, shard, processes)
    calibrate(trainer.model, shard, processes)
    factor = widest_week(trainer.model, shard, processes) if spec.with_replacements else None
    bound_at_zero(trainer.model, shard, processes)
    calibrate_levels(trainer.model, shard, processes)
    return _Fitted(trainer.model, trainer.epochs, trainer.best_epoch, trainer.stopped_by, searched, factor)


def _fit_simple(
    spec: TrainSpec,
    directory: Path,
    shard: Shard,
    counts: list[int],
    restarts: Restarts,
    processes: Processes,
) -> _Fitted:
    if processes.is_rank_0:
        restarts.record(0)
        if spec.search is not None:
            report_progress(directory, "a simple forecast has no parameters to search: the search is skipped")
    fitted = fit_simple(spec.preset, spec, shard, counts, processes)
    if processes.is_rank_0:
        report_progress(directory, fitted.description)
    return _Fitted(fitted.model, [], 0, "epochs")


def _trainer(
    shard: Shard,
    counts: list[int],
    processes: Processes,
    spec: TrainSpec,
    weight_decay_factor: float = 1.0,
) -> Trainer:
    """Returns an untrained Trainer; deterministic in the spec."""
    sampler = EpochSampler(counts, spec.batch_size, spec.seed)
    torch.manual_seed(spec.seed)
    ids = known_ids(shard, processes)
    model = build_network(spec.preset, shard.table.features, *ids, spec.horizon_weeks)
    fit_normalization(model, shard, sampler, processes)
    return Trainer(model.to(processes.device), shard, sampler, processes, spec, weight_decay_factor)


def _training_counts(shard: Shard, processes: Processes) -> list[int]:
    """Returns the number of training samples in each file, over all processes.

    Raises:
        UserError: There are no training samples, or no validation samples.
    """
    local = dict(zip(shard.files, map(len, shard.training), strict=True))
    counts: dict[int, int] = {}
    for part in processes.gather(local):
        counts |= part
    validation = sum(processes.gather(len(shard.validation)))
    for what, count in (("training", sum(counts.values())), ("validation", validation)):
        if count == 0:
            raise UserError(
                "BadData",
                f"no series has sales in a {what} week that an earlier week could forecast; load more weeks, "
                "or lower testWeeks and validationWeeks",
            )
    return [counts[file] for file in sorted(counts)]


def _train(
    trainer: Trainer,
    spec: TrainSpec,
    directory: Path,
    checkpoints: Checkpoints,
    restarts: Restarts,
    processes: Processes,
) -> None:
    """Trains from the newest checkpoint and writes one after each epoch."""

    def begin() -> tuple[NewestCheckpoint, int]:
        # Rank 0 decides for all: each process may see a different state of a shared folder.
        if not processes.is_rank_0:
            return NewestCheckpoint(), 0
        found = checkpoints.newest()
        restarts.record(found.epoch)
        return found, len(restarts.epochs())

    found, start = processes.gather(processes.raise_together(begin))[0]
    restarts.begin(start, lambda: trainer.steps_done)
    if found.epoch > 0:
        trainer.restore(checkpoints.load(found.epoch))
    if processes.is_rank_0:
        for message in _beginning(found, processes):
            report_progress(directory, message)

    before = search_epochs(spec)

    def after_epoch(epoch: EpochMetrics) -> None:
        state = trainer.state()
        if not processes.is_rank_0:
            return
        number, most = epoch.epoch, spec.max_epochs
        checkpoints.save(number, state, trainer.best_epoch)
        message = f"epoch {number} of at most {most}: validation loss {epoch.validation_loss:.2f}"
        fraction = (before + number) / (before + most + 1)
        report_progress(directory, message, fraction=fraction, epoch=epoch)

    reporter = ProgressReporter(directory, spec.max_epochs, trainer.steps, before)
    trainer.run(after_epoch, reporter.step if processes.is_rank_0 else None)


def _beginning(found: NewestCheckpoint, processes: Processes) -> Iterator[str]:
    """Yields messages about skipped checkpoints and about a change of processes since the checkpoint."""
    yield from found.skipped
    if found.epoch > 0 and found.trained_by != processes.description:
        yield (
            f"resumes after epoch {found.epoch} with other processes "
            f"({processes.description}, was {found.trained_by}): the weights may differ in the last bits"
        )


def _outputs(
    spec: TrainSpec,
    directory: Path,
    shard: Shard,
    fitted: _Fitted,
    simple: Sequence[FittedSimple],
    restarts: Restarts,
) -> TrainResult:
    # Matplotlib is slow to import, and only rank 0 needs it.
    from shelfcast.train.report import write_report

    report, model = directory / "report", fitted.model
    exported = _export(directory / "model", model, spec, shard)
    write_report(report, fitted.epochs, fitted.best_epoch, shard)
    if fitted.searched is not None:
        write_json(report / "search.json", fitted.searched)
    return TrainResult(
        **exported,
        parameter_count=sum(parameter.numel() for parameter in model.parameters()),
        best_epoch=fitted.best_epoch,
        epochs=fitted.epochs,
        stopped_by=fitted.stopped_by,
        started_from_epochs=restarts.epochs(),
        report_uri=report.absolute().as_uri(),
        search=fitted.searched,
        simple_forecasts=_write_simple(spec, directory, shard, simple) if simple else None,
        wide_intervals=_write_wide(spec, directory, shard, fitted),
    )


class _Exported(TypedDict):
    model_uri: str
    model_hash: str


def _export(folder: Path, model: Network, spec: TrainSpec, shard: Shard) -> _Exported:
    """Writes a model folder; a simple forecast has the preset of its formula."""
    named = replace(spec, preset=model.chosen.preset) if isinstance(model, SimpleForecast) else spec
    sha256 = write_model(folder, model, shard.table, shard.validation, named)
    return {"model_uri": folder.absolute().as_uri(), "model_hash": sha256}


def _write_simple(
    spec: TrainSpec, directory: Path, shard: Shard, ranked: Sequence[FittedSimple]
) -> list[SimpleForecastResult]:
    results = []
    for rank, fitted in enumerate(ranked, start=1):
        name = fitted.model.chosen.name
        exported = _export(directory / f"simple-model-{rank}", fitted.model, spec, shard)
        results.append(
            SimpleForecastResult(name=name, **exported, validation_wmae=fitted.validation_wmae[name])
        )
    report_progress(directory, ranked[0].description)
    return results


def _write_wide(spec: TrainSpec, directory: Path, shard: Shard, fitted: _Fitted) -> WideIntervals | None:
    """Writes the model with wider intervals, if any are needed, and leaves the model with them."""
    factor = fitted.widest_week
    if factor is None or factor <= 1:
        return None
    fitted.model.widening.mul_(factor)
    return WideIntervals(**_export(directory / "wide-model", fitted.model, spec, shard), factor=factor)


def _run_other_rank() -> None:
    """Runs a non-zero rank; rank 0 reports errors for all."""
    directory = job_directory()
    if (directory / "result.json").exists():
        return
    with contextlib.suppress(UserError):
        run(read_spec(directory, TrainSpec), directory)


@record  # Makes torchrun print the error at the end of the log.
def _run_rank() -> None:
    if int(os.environ.get("RANK", "0")) == 0:
        main(run, TrainSpec)
    else:
        _run_other_rank()


if __name__ == "__main__":
    _run_rank()
