"""``python -m shelfcast.train --dir DIR``, alone or under torchrun: TrainSpec in, TrainResult out."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing.errors import record

from shelfcast.job import UserError, main, path_of, report_progress
from shelfcast.models.network import Network
from shelfcast.models.presets import build_network
from shelfcast.train.calibration import calibrate, choose_seasonal_share
from shelfcast.train.checkpoint import Checkpoints, config_hash
from shelfcast.train.data import EpochSampler, Shard, read_shard
from shelfcast.train.export import write_model
from shelfcast.train.fitting import fit_constants, known_ids
from shelfcast.train.processes import Processes, joined
from shelfcast.train.report import write_report
from shelfcast.train.training import Epoch, Trainer


def run(spec: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Trains with all processes, then exports and reports in the first one, whose result counts."""
    with joined() as processes:
        shard = processes.agree(lambda: read_shard(spec, processes.rank, processes.world_size))
        sampler = EpochSampler(_training_counts(shard, processes), spec["batchSize"], spec["seed"])
        torch.manual_seed(spec["seed"])
        ids = known_ids(shard, processes)
        model = build_network(spec["preset"], shard.table.features, *ids, spec["horizonWeeks"])
        fit_constants(model, shard, sampler, processes)
        trainer = Trainer(model.to(processes.device), shard, sampler, processes, spec)
        _train(trainer, spec, directory, processes)
        choose_seasonal_share(model, shard, processes)
        calibrate(model, shard, processes)
    return _outputs(spec, directory, model, shard, trainer) if processes.first else {}


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


def _train(trainer: Trainer, spec: dict[str, Any], directory: Path, processes: Processes) -> None:
    """Trains from the newest checkpoint on; writes one after each epoch."""
    checkpoints = Checkpoints(directory, config_hash({**spec, "worldSize": processes.world_size}))
    # The first decides, for all: a folder that is being written may look different to each.
    newest = processes.agree(lambda: checkpoints.newest() if processes.first else 0)
    begin = processes.gather(newest)[0]
    if begin > 0:
        trainer.restore(checkpoints.load(begin))
    if processes.first:
        _note_start(directory, begin)

    def after_epoch(epoch: Epoch) -> None:
        state = trainer.state()
        if not processes.first:
            return
        number, of = epoch["epoch"], spec["maxEpochs"]
        checkpoints.save(number, state)
        message = f"epoch {number} of at most {of}: validation loss {epoch['validationLoss']:.2f} USD"
        report_progress(directory, message, fraction=number / (of + 1), epoch=epoch)

    trainer.run(after_epoch)


def _starts(directory: Path) -> Path:
    """Returns the file with a line for each start: the epoch that it went on from."""
    return directory / "starts.txt"


def _note_start(directory: Path, epoch: int) -> None:
    with _starts(directory).open("a", encoding="utf-8") as file:
        file.write(f"{epoch}\n")
        file.flush()
        os.fsync(file.fileno())


def _outputs(
    spec: dict[str, Any], directory: Path, model: Network, shard: Shard, trainer: Trainer
) -> dict[str, Any]:
    folder, report = directory / "model", directory / "report"
    sha256 = write_model(folder, model, shard.table, shard.validation, spec)
    write_report(report, trainer.epochs, trainer.best_epoch, shard)
    return {
        "modelUri": folder.absolute().as_uri(),
        "modelHash": sha256,
        "parameterCount": sum(parameter.numel() for parameter in model.parameters()),
        "bestEpoch": trainer.best_epoch,
        "epochs": trainer.epochs,
        "startedFromEpochs": [int(line) for line in _starts(directory).read_text(encoding="utf-8").split()],
        "reportUri": report.absolute().as_uri(),
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
