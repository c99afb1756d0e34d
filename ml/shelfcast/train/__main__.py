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
from shelfcast.train.export import write_model
from shelfcast.train.fitting import fit_constants, known_ids
from shelfcast.train.growing import grow_trees
from shelfcast.train.processes import Processes, joined
from shelfcast.train.search import Search, search, search_epochs
from shelfcast.train.starts import Starts
from shelfcast.train.telling import StepTeller
from shelfcast.train.training import Epoch, Trainer


def run(spec: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Trains with all processes, then exports and reports in the first one, whose result counts."""
    starts = Starts(directory)
    with starts.noting_failure():
        with joined() as processes:
            shard = processes.agree(lambda: read_shard(spec, processes.rank, processes.world_size))
            counts = _training_counts(shard, processes)
            prepare = partial(_trainer, shard, counts, processes)
            searched = search(spec, directory, processes, prepare) if "search" in spec else None
            if searched is not None:
                spec = {**spec, **searched["best"]["parameters"]}
            trainer = prepare(spec)
            _train(trainer, spec, directory, starts, processes)
            tell = partial(report_progress, directory)
            grow_trees(trainer.model, shard, counts, spec["seed"], processes, tell)
            choose_shares(trainer.model, shard, processes)
            calibrate(trainer.model, shard, processes)
        return _outputs(spec, directory, shard, trainer, starts, searched) if processes.first else {}


def _trainer(shard: Shard, counts: list[int], processes: Processes, spec: dict[str, Any]) -> Trainer:
    """Returns one that has trained nothing yet; the same spec gives the same."""
    sampler = EpochSampler(counts, spec["batchSize"], spec["seed"])
    torch.manual_seed(spec["seed"])
    ids = known_ids(shard, processes)
    model = build_network(spec["preset"], shard.table.features, *ids, spec["horizonWeeks"])
    fit_constants(model, shard, sampler, processes)
    return Trainer(model.to(processes.device), shard, sampler, processes, spec)


def _training_counts(shard: Shard, processes: Processes) -> list[int]:
    """Returns the number of training samples of each of all files.

    Raises:
        UserError: There is nothing to train on, or nothing to validate with.
    """
    own = dict(zip(shard.files, map(len, shard.training), strict=True))
    counts: dict[int, int] = {}
    for part in processes.gather(own):
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
    trainer: Trainer, spec: dict[str, Any], directory: Path, starts: Starts, processes: Processes
) -> None:
    """Trains from the newest checkpoint on; writes one after each epoch."""
    checkpoints = Checkpoints(directory, config_hash(spec), processes.described)

    def begin() -> tuple[Found, int]:
        # The first decides, for all: a folder that is being written may look different to each.
        if not processes.first:
            return Found(), 0
        found = checkpoints.newest()
        starts.note(found.epoch)
        return found, len(starts.epochs())

    found, start = processes.gather(processes.agree(begin))[0]
    starts.count(start, lambda: trainer.steps_done)
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
        number, of = epoch["epoch"], spec["maxEpochs"]
        checkpoints.save(number, state, trainer.best_epoch)
        message = f"epoch {number} of at most {of}: validation loss {epoch['validationLoss']:.2f} USD"
        fraction = (before + number) / (before + of + 1)
        report_progress(directory, message, fraction=fraction, epoch=epoch)

    teller = StepTeller(directory, spec["maxEpochs"], trainer.steps, before)
    trainer.run(after_epoch, teller.step if processes.first else None)


def _beginning(found: Found, processes: Processes) -> Iterator[str]:
    """Yields what a reader of the progress should know of a start that is not the plain first one."""
    yield from found.passed_over
    if found.epoch > 0 and found.trained_by != processes.described:
        yield (
            f"goes on after epoch {found.epoch} with other processes "
            f"({processes.described}, was {found.trained_by}): the weights may differ in the last bits"
        )


def _outputs(
    spec: dict[str, Any],
    directory: Path,
    shard: Shard,
    trainer: Trainer,
    starts: Starts,
    searched: Search | None,
) -> dict[str, Any]:
    # Only this process needs it, and only here: a start is to be quick.
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
        "startedFromEpochs": starts.epochs(),
        "reportUri": report.absolute().as_uri(),
        **({} if searched is None else {"search": searched}),
    }


def _follow() -> None:
    """Takes part as another process than the first; what the first finds wrong, it reports for all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", required=True)
    directory = path_of(parser.parse_args().dir)
    if (directory / "result.json").exists():
        return
    spec = json.loads((directory / "spec.json").read_text(encoding="utf-8"))
    with contextlib.suppress(UserError):
        run(spec, directory)


@record  # Has torchrun print what went wrong last, where a reader of the log looks.
def _take_part() -> None:
    if int(os.environ.get("RANK", "0")) == 0:
        main(run)
    else:
        _follow()


if __name__ == "__main__":
    _take_part()
