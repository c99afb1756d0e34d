"""``train.py STORES DEPARTMENTS WEEKS``: seconds of an epoch beside a bare PyTorch loop, as JSON.

Prints one line, ``{"samples": .., "rowsPerSecond": .., "ranks": {"1": {..}, "2": {..}}, "largeBatches": ..,
"resumeLostSeconds": ..}``; of each number of ranks ``device``, ``epochSeconds`` (checkpoint included),
``checkpointSeconds`` and ``bareSeconds``, and where they have a GPU each ``gpuShare``, the share of
``epochSeconds`` in which it computes or copies, and ``bfloat16Seconds``, of the bare loop with products in
bfloat16; ``largeBatches`` is the same of one rank and batches of 8,192, null without a GPU. The bare loop is
what one would write for the same model by hand: all samples as tensors in memory, the same batches, loss,
clipping, AdamW, schedule, average of weights and validation; plain DistributedDataParallel with 2 ranks, none
with 1; no checkpoint. The two take turns epoch by epoch in the same processes, each with one thread, and must
come to the same losses. This file runs itself for each number of ranks (``--loops DIR``).
"""

from __future__ import annotations

import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.profiler import ProfilerActivity, profile

from shelfcast.contracts.results import EpochMetrics
from shelfcast.contracts.specs import Snapshot, TrainSpec
from shelfcast.contracts.wire import encode, read_json
from shelfcast.features import training_data
from shelfcast.features.definitions import FeatureSet
from shelfcast.ingest.generator import generate
from shelfcast.job import read_spec, write_json
from shelfcast.models.network import Network
from shelfcast.models.presets import build_network
from shelfcast.train.checkpoint import Checkpoints, config_hash
from shelfcast.train.data import EpochSampler, Samples, Shard, read_shard
from shelfcast.train.distributed import Processes, init_distributed
from shelfcast.train.minibatch import Batch, BatchReader
from shelfcast.train.normalization import fit_normalization, known_ids
from shelfcast.train.progress import ProgressReporter
from shelfcast.train.training import MemberForecasts, Trainer, pinball_usd, update_ema

HORIZON_WEEKS = 8
#: Number of epochs; the first is a warm-up, and the last one measures the GPU's utilization.
EPOCHS = 7
VALIDATION_CHUNK = 8_192
GPUS = torch.cuda.device_count()
#: Batch size that keeps a GPU busy.
LARGE_BATCH = 8_192
#: Relative tolerance of losses, which differ by the order of sums.
SAME = 1e-3
#: Epoch in which a rank is killed.
KILLED_EPOCH = 3


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds of both loops; the last two are measured with a GPU for each process."""

    device: str
    epoch_seconds: float
    checkpoint_seconds: float
    bare_seconds: float
    gpu_share: float | None = None
    bfloat16_seconds: float | None = None


def main(stores: int, departments: int, weeks: int) -> dict[str, object]:
    """Returns the measurements."""
    with tempfile.TemporaryDirectory() as scratch:
        spec = write_data(Path(scratch), stores, departments, weeks)
        begin = time.perf_counter()
        shard = read_shard(spec, 0, 1)
        read_seconds = time.perf_counter() - begin
        return {
            "samples": sum(map(len, shard.training)),
            "rowsPerSecond": round(len(shard.table.store) / read_seconds),
            "ranks": {str(ranks): loops(Path(scratch), spec, ranks) for ranks in (1, 2)},
            "largeBatches": loops(Path(scratch), replace(spec, batch_size=LARGE_BATCH), 1) if GPUS else None,
            "resumeLostSeconds": resume_lost_seconds(Path(scratch), spec),
        }


def write_data(folder: Path, stores: int, departments: int, weeks: int) -> TrainSpec:
    """Writes training data of generated sales; returns the spec of a training on them."""
    tables = generate(stores, departments, weeks, 7).tables
    data = folder / "data"
    data.mkdir()
    version = training_data.write(
        data, tables["sales"], tables["store_week"], tables["store"], FeatureSet(HORIZON_WEEKS)
    )
    sold = tables["sales"]["week"].to_numpy().astype("datetime64[D]")
    snapshot = Snapshot(
        id="bench-1-000000000000",
        dataset="bench",
        batch_id=1,
        content_hash="",
        row_count=len(sold),
        series_count=stores * departments,
        first_week=sold.min().item(),
        last_week=sold.max().item(),
    )
    return TrainSpec(
        snapshot=snapshot,
        feast_project="bench",
        feature_set_version=version,
        training_data_uri=data.as_uri(),
        horizon_weeks=HORIZON_WEEKS,
        max_epochs=EPOCHS,
    )


def job(folder: Path, spec: TrainSpec) -> Path:
    """Creates a job's folder."""
    folder.mkdir()
    write_json(folder / "spec.json", spec)
    return folder


def start(ranks: int, *program: str, stderr: int | None = None) -> subprocess.Popen[bytes]:
    """Starts a module with its arguments as the platform starts trainings."""
    launcher = ["-m", "shelfcast.ranks", "--processes", str(ranks)]
    return subprocess.Popen(
        [sys.executable, *launcher, *program],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        # Standard output holds only the figures.
        stdout=subprocess.DEVNULL,
        stderr=stderr,
    )


def loops(scratch: Path, spec: TrainSpec, ranks: int) -> Measured:
    """Returns the median seconds of both loops.

    Raises:
        RuntimeError: The processes failed; they told why.
    """
    directory = job(scratch / f"loops-{ranks}-{spec.batch_size}", spec)
    if start(ranks, Path(__file__).stem, "--loops", str(directory)).wait() != 0:
        raise RuntimeError(f"the loops of {ranks} ranks failed")
    return read_json(Measured, directory / "measured.json")


def take_turns(directory: Path) -> None:
    """Runs both loops, an epoch of each in turn; the first process writes the measurements."""
    spec = read_spec(directory, TrainSpec)
    with init_distributed() as processes:
        shard = read_shard(spec, processes.rank, processes.world_size)
        turns = Turns(spec, directory, shard, processes)
        reporter = ProgressReporter(directory, spec.max_epochs, turns.trainer.steps)
        turns.trainer.run(turns.after_epoch, reporter.step if processes.is_rank_0 else None)
        losses = [epoch.validation_loss for epoch in turns.trainer.epochs]
        np.testing.assert_allclose(losses, [loss for loss, _ in turns.bare_epochs], rtol=SAME)
        if processes.is_rank_0:
            write_json(directory / "measured.json", turns.measured())


class Turns:
    """The trainer and the bare loops, an epoch of each in turn, and the seconds of all of them."""

    def __init__(self, spec: TrainSpec, directory: Path, shard: Shard, processes: Processes) -> None:
        sizes: dict[int, int] = {}
        for part in processes.gather(dict(zip(shard.files, map(len, shard.training), strict=True))):
            sizes |= part
        sampler = EpochSampler([sizes[file] for file in sorted(sizes)], spec.batch_size, spec.seed)
        self.processes = processes
        self.trainer = Trainer(new_model(spec, shard, sampler, processes), shard, sampler, processes, spec)
        has_gpu = processes.device.type == "cuda"
        self.bare, *self.in_bfloat16 = [
            BareLoop(new_model(spec, shard, sampler, processes), shard, sampler, processes, spec, bfloat16)
            for bfloat16 in ((False, True) if has_gpu else (False,))
        ]
        self.checkpoints = Checkpoints(directory, config_hash(spec), processes.description)
        self.checkpoint_seconds: list[float] = []
        #: Validation loss and seconds of each epoch of the bare loop.
        self.bare_epochs: list[tuple[float, float]] = []
        self.bfloat16_seconds: list[float] = []
        # The profiler slows the starts of kernels, so the time of the last epoch is not used.
        self.profiler = profile(activities=[ProfilerActivity.CUDA]) if has_gpu else None

    def after_epoch(self, epoch: EpochMetrics) -> None:
        """Saves a checkpoint, then runs the same epoch of the bare loops."""
        if self.profiler is not None and epoch.epoch == EPOCHS:
            self.profiler.stop()
        begin = time.perf_counter()
        state = self.trainer.state()
        if self.processes.is_rank_0:
            self.checkpoints.save(epoch.epoch, state, self.trainer.best_epoch)
        self.checkpoint_seconds.append(time.perf_counter() - begin)
        dist.barrier()
        self.bare_epochs.append(self.bare.epoch(epoch.epoch - 1))
        self.bfloat16_seconds.extend(loop.epoch(epoch.epoch - 1)[1] for loop in self.in_bfloat16)
        dist.barrier()
        if self.profiler is not None and epoch.epoch == EPOCHS - 1:
            self.profiler.start()

    def measured(self) -> Measured:
        """Returns the medians, without the warm-up and the profiled epoch."""
        checkpoint = statistics.median(self.checkpoint_seconds[1:-1])
        epoch_seconds = statistics.median(epoch.seconds for epoch in self.trainer.epochs[1:-1])
        measured = Measured(
            device=self.processes.device.type,
            epoch_seconds=epoch_seconds + checkpoint,
            checkpoint_seconds=checkpoint,
            bare_seconds=statistics.median(seconds for _, seconds in self.bare_epochs[1:-1]),
        )
        if self.profiler is None:
            return measured
        busy = sum(event.self_device_time_total for event in self.profiler.key_averages()) / 1e6
        return replace(
            measured,
            gpu_share=busy / measured.epoch_seconds,
            bfloat16_seconds=statistics.median(self.bfloat16_seconds[1:-1]),
        )


def new_model(spec: TrainSpec, shard: Shard, sampler: EpochSampler, processes: Processes) -> Network:
    """Returns the network as the training job begins with it."""
    torch.manual_seed(spec.seed)
    model = build_network(spec.preset, shard.table.features, *known_ids(shard, processes), spec.horizon_weeks)
    fit_normalization(model, shard, sampler, processes)
    return model.to(processes.device)


@dataclass(frozen=True)
class InMemory:
    """Samples as tensors: inputs, actual and weight, each [N, ..]."""

    tensors: tuple[Tensor, ...]

    @classmethod
    def of(cls, batch: Batch) -> InMemory:
        """Holds all samples of a batch."""
        return cls((*batch.inputs, batch.actual, batch.weight))

    def take(self, index: Tensor | slice) -> tuple[Tensor, ...]:
        """Returns some samples: features, store, dept, horizon, actual, weight."""
        return tuple(tensor[index] for tensor in self.tensors)


class BareLoop:
    """The same training as a bare PyTorch loop."""

    def __init__(
        self,
        model: Network,
        shard: Shard,
        sampler: EpochSampler,
        processes: Processes,
        spec: TrainSpec,
        bfloat16: bool,
    ) -> None:
        """Loads all samples of this process into the memory of its device."""
        self.device, self.bfloat16 = processes.device, bfloat16
        self.model, self.sampler, self.files = model, sampler, shard.files
        self.two = processes.world_size > 1
        samples = Samples(
            np.concatenate([part.rows for part in shard.training]),
            np.concatenate([part.horizons for part in shard.training]),
        )
        reader = BatchReader(shard.table, processes.device)
        self.training = InMemory.of(reader.read(samples))
        self.validation = InMemory.of(reader.read(shard.validation))
        self.validation_count = len(shard.validation)
        self.offsets = np.cumsum([0, *map(len, shard.training)])[:-1]
        members = MemberForecasts(model)
        self.parallel = DistributedDataParallel(members) if self.two else members
        self.scale = processes.world_size / (spec.batch_size * float(model.mean_level_usd))
        groups = [{"params": [*m.parameters()], "weight_decay": m.weight_decay} for m in model.members]
        self.optimizer = AdamW(groups, lr=spec.learning_rate)
        total = spec.max_epochs * sampler.steps
        warm_up = max(1, int(total * 0.05))
        self.scheduler = LambdaLR(
            self.optimizer,
            lambda step: (
                (step + 1) / warm_up
                if step < warm_up
                else 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, total - warm_up)))
            ),
        )
        self.average = AveragedModel(model, multi_avg_fn=_average).eval()

    def epoch(self, epoch: int) -> tuple[float, float]:
        """Trains an epoch, counted from 0; returns the validation loss and the seconds."""
        begin = time.perf_counter()
        self.parallel.train()
        by_file = [
            [torch.from_numpy(offset + rows) for rows in self.sampler.positions(epoch, file)]
            for offset, file in zip(self.offsets, self.files, strict=True)
        ]
        for step in zip(*by_file, strict=True):
            *inputs, actual, weight = self.training.take(torch.cat(step).to(self.device))
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                quantiles = self.parallel(*inputs)
            loss = (pinball_usd(quantiles, actual) * weight).sum() * self.scale
            self.optimizer.zero_grad()
            loss.backward()
            for member in self.model.members:
                clip_grad_norm_(member.parameters(), 1.0)
            self.optimizer.step()
            self.scheduler.step()
            self.average.update_parameters(self.model)
        return self.validate(), time.perf_counter() - begin

    @torch.no_grad()
    def validate(self) -> float:
        """Returns the weighted mean loss of all processes."""
        sums = torch.zeros(2, dtype=torch.float64)
        for start in range(0, self.validation_count, VALIDATION_CHUNK):
            *inputs, actual, weight = self.validation.take(slice(start, start + VALIDATION_CHUNK))
            loss = (pinball_usd(self.average(*inputs), actual) * weight).sum()
            sums += torch.stack([loss, weight.sum()]).double().cpu()
        if self.two:
            dist.all_reduce(sums)
        return float(sums[0] / sums[1])


def _average(averages: Any, weights: Any, updates: Tensor | int) -> None:
    update_ema(averages, weights, int(updates))


def resume_lost_seconds(scratch: Path, spec: TrainSpec) -> float:
    """Kills a rank in the middle of an epoch and starts the training again at once.

    Returns:
        How much later the epoch is done than it would have been.
    """
    directory = job(scratch / "killed", spec)
    program = ("shelfcast.train", "--dir", directory.as_uri())
    # NCCL needs a GPU for each rank.
    ranks = min(2, GPUS) or 2
    # The error output of a killed training is not needed.
    launcher = start(ranks, *program, stderr=subprocess.DEVNULL)
    told = [wait_for_epoch(directory, epoch, launcher) for epoch in range(1, KILLED_EPOCH)]
    epoch_seconds = told[-1] - told[-2]
    time.sleep(epoch_seconds / 2)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text(encoding="utf-8")
    os.kill(int(children.split()[ranks - 1]), signal.SIGKILL)
    launcher.wait()
    again = start(ranks, *program, stderr=subprocess.DEVNULL)
    done = wait_for_epoch(directory, KILLED_EPOCH, again)
    again.terminate()
    again.wait()
    return done - (told[-1] + epoch_seconds)


def wait_for_epoch(directory: Path, epoch: int, launcher: subprocess.Popen[bytes]) -> float:
    """Returns the time at which the training reported the end of an epoch.

    Raises:
        RuntimeError: The training ended before.
    """
    progress = directory / "progress.jsonl"
    while launcher.poll() is None:
        lines = progress.read_text(encoding="utf-8").split("\n")[:-1] if progress.exists() else []
        if any(json.loads(line).get("epoch", {}).get("epoch") == epoch for line in lines):
            return time.monotonic()
        time.sleep(0.02)
    raise RuntimeError(f"the training ended before the end of epoch {epoch}")


if __name__ == "__main__":
    if sys.argv[1] == "--loops":
        take_turns(Path(sys.argv[2]))
    else:
        print(json.dumps(encode(main(*map(int, sys.argv[1:])))))
