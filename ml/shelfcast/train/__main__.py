"""``python -m shelfcast.train --dir DIR``, alone or under torchrun: TrainSpec in, TrainResult out."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing.errors import record

from shelfcast.job import UserError, main, path_of, report_progress, write_json
from shelfcast.models.presets import build_network
from shelfcast.train.calibration import calibrate, choose_shares
from shelfcast.train.checkpoint import Checkpoints, Found, config_hash
from shelfcast.train.data import EpochSampler, Shard, read_shard
from shelfcast.train.distributed import Processes, init_distributed
from shelfcast.train.export import write_model
from shelfcast.train.fit_trees import fit_trees
from shelfcast.train.normalization import fit_normalization, known_ids
from shelfcast.train.progress import ProgressReporter
from shelfcast.train.restarts import Restarts
from shelfcast.train.search import Search, search, search_epochs
from shelfcast.train.training import Epoch, Trainer


def run(spec: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Trains in all processes; rank 0 exports the model and returns the TrainResult."""
    restarts = Restarts(directory)
    with restarts.recording_failure():
        with init_distributed() as processes:
            shard = processes.agree(lambda: read_shard(spec, processes.rank, processes.world_size))
            counts = _training_counts(shard, processes)
            prepare = partial(_trainer, shard, counts, processes)
            searched = search(spec, directory, processes, prepare) if "search" in spec else None
            if searched is not None:
                spec = {**spec, **searched["best"]["parameters"]}
            trainer = prepare(spec)
            _train(trainer, spec, directory, restarts, processes)
            tell = partial(report_progress, directory)
            fit_trees(trainer.model, shard, counts, spec["seed"], processes, tell)
            choose_shares(trainer.model, shard, processes)
            calibrate(trainer.model, shard, processes)
        return _outputs(spec, directory, shard, trainer, restarts, searched) if processes.first else {}


def _trainer(shard: Shard, counts: list[int], processes: Processes, spec: dict[str, Any]) -> Trainer:
    """Returns an untrained Trainer; deterministic in the spec."""
    sampler = EpochSampler(counts, spec["batchSize"], spec["seed"])
    torch.manual_seed(spec["seed"])
    ids = known_ids(shard, processes)
    model = build_network(spec["preset"], shard.table.features, *ids, spec["horizonWeeks"])
    fit_normalization(model, shard, sampler, processes)
    return Trainer(model.to(processes.device), shard, sampler, processes, spec)


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
    trainer: Trainer, spec: dict[str, Any], directory: Path, restarts: Restarts, processes: Processes
) -> None:
    """Trains from the newest checkpoint and writes one after each epoch."""
    checkpoints = Checkpoints(directory, config_hash(spec), processes.described)

    def begin() -> tuple[Found, int]:
        # Rank 0 decides for all: each process may see a different state of a shared folder.
        if not processes.first:
            return Found(), 0
        found = checkpoints.newest()
        restarts.record(found.epoch)
        return found, len(restarts.epochs())

    found, start = processes.gather(processes.agree(begin))[0]
    restarts.begin(start, lambda: trainer.steps_done)
    if found.epoch > 0:
        trainer.restore(checkpoints.load(found.epoch))
    if processes.first:
        for message in _beginning(found, processes):
            report_progress(directory, message)

    before = search_epochs(spec)

    def after_epoch(epoch: Epoch) -> None:
        state = trainer.state()
        if not processes.first:
            return
        number, most = epoch["epoch"], spec["maxEpochs"]
        checkpoints.save(number, state, trainer.best_epoch)
        message = f"epoch {number} of at most {most}: validation loss {epoch['validationLoss']:.2f} USD"
        fraction = (before + number) / (before + most + 1)
        report_progress(directory, message, fraction=fraction, epoch=epoch)

    reporter = ProgressReporter(directory, spec["maxEpochs"], trainer.steps, before)
    trainer.run(after_epoch, reporter.step if processes.first else None)


def _beginning(found: Found, processes: Processes) -> Iterator[str]:
    """Yields messages about skipped checkpoints and about a change of processes since the checkpoint."""
    yield from found.skipped
    if found.epoch > 0 and found.trained_by != processes.described:
        yield (
            f"resumes after epoch {found.epoch} with other processes "
            f"({processes.described}, was {found.trained_by}): the weights may differ in the last bits"
        )


def _outputs(
    spec: dict[str, Any],
    directory: Path,
    shard: Shard,
    trainer: Trainer,
    restarts: Restarts,
    searched: Search | None,
) -> dict[str, Any]:
    # Matplotlib is slow to import, and only rank 0 needs it.
    from shelfcast.train.report import write_report

    folder, report, model = directory / "model", directory / "report", trainer.model
    sha256 = write_model(folder, model, shard.table, shard.validation, spec)
    write_report(report, trainer.epochs, trainer.best_epoch, shard)
    if searched is not None:
        write_json(report / "search.json", searched)
    return {
        "modelUri": folder.absolute().as_uri(),
        "modelHash": sha256,
        "parameterCount": sum(parameter.numel() for parameter in model.parameters()),
        "bestEpoch": trainer.best_epoch,
        "epochs": trainer.epochs,
        "stoppedBy": trainer.stopped_by,
        "startedFromEpochs": restarts.epochs(),
        "reportUri": report.absolute().as_uri(),
        **({} if searched is None else {"search": searched}),
    }


def _run_other_rank() -> None:
    """Runs a non-zero rank; rank 0 reports errors for all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", required=True)
    directory = path_of(parser.parse_args().dir)
    if (directory / "result.json").exists():
        return
    spec = json.loads((directory / "spec.json").read_text(encoding="utf-8"))
    with contextlib.suppress(UserError):
        run(spec, directory)


@record  # Makes torchrun print the error at the end of the log.
def _run_rank() -> None:
    if int(os.environ.get("RANK", "0")) == 0:
        main(run)
    else:
        _run_other_rank()


if __name__ == "__main__":
    _run_rank()
