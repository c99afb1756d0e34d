"""The training loop. A resumed training continues exactly as an uninterrupted one."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import get_ema_multi_avg_fn

from shelfcast.contracts.results import EpochMetrics, StoppedBy
from shelfcast.contracts.specs import TrainSpec
from shelfcast.contracts.wire import decode, encode
from shelfcast.job import UserError
from shelfcast.models.network import QUANTILES, Network
from shelfcast.train.budget import Budget, Limit
from shelfcast.train.data import EpochSampler, Samples, Shard
from shelfcast.train.distributed import Processes
from shelfcast.train.minibatch import BatchReader, chunks

#: Epochs within 3 % of the best validation loss count as ties: a few validation weeks cannot separate them.
#: The newest tie wins, since the learning rate falls and the EMA covers more steps.
TIE_TOLERANCE = 1.03
#: Training stops after this many epochs without a tie or a new best.
PATIENCE_EPOCHS = 4
#: Maximum gradient norm of each member, for clipping.
MAX_GRAD_NORM = 1.0
#: Decay of the EMA of the weights; the EMA is validated and exported.
EMA_DECAY = 0.99
#: Fraction of steps with a rising learning rate; a cosine decay to 0 follows.
WARMUP_FRACTION = 0.05
#: Steps between checks of the budget, each of which is a collective.
_BUDGET_CHECK_STEPS = 16

#: Callback after each step: (epoch, step, mean_loss), 1-based; mean_loss() is this rank's running mean in
#: USD.
AfterStep = Callable[[int, int, Callable[[], float]], None]


class LossNotFiniteError(UserError):
    """The loss became NaN or infinite."""


def pinball_usd(quantiles: Tensor, actual: Tensor) -> Tensor:
    """Returns twice the mean pinball loss over ``QUANTILES``, US dollars [..., N]; |f - a| for a median.

    Source: Koenker and Bassett, "Regression Quantiles", Econometrica 46 (1978).

    Args:
        quantiles: Forecasts, US dollars [..., N, 5].
        actual: Actual sales, US dollars [N].
    """
    tau = torch.tensor(QUANTILES, device=quantiles.device)
    error = actual[:, None] - quantiles
    return 2 * torch.maximum(tau * error, (tau - 1) * error).mean(dim=-1)


def update_ema(ema: Sequence[Tensor], weights: Sequence[Tensor], updates: int) -> None:
    """Updates the EMA of the weights in place; the decay is lower during the first steps.

    Args:
        ema: EMA so far.
        weights: Weights after the step, of the same shapes.
        updates: Number of updates so far.
    """
    decay = min(EMA_DECAY, (1 + updates) / (10 + updates)) if updates else 0.0
    get_ema_multi_avg_fn(decay)(list(ema), list(weights), updates)  # type: ignore[no-untyped-call]


class MemberForecasts(nn.Module):
    """The quantiles of all members, as DDP trains them."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, store: Tensor, dept: Tensor, horizon: Tensor) -> Tensor:
        """Returns ``Network.member_quantiles``."""
        return self.network.member_quantiles(features, store, dept, horizon)


class Trainer:
    """One process's part of a training.

    Attributes:
        epochs: Completed epochs; the budget can end one early.
        model: Trained model, on the process's device.
        stopped_by: Reason why ``run`` returned.
    """

    stopped_by: StoppedBy

    def __init__(
        self,
        model: Network,
        shard: Shard,
        sampler: EpochSampler,
        processes: Processes,
        spec: TrainSpec,
        weight_decay_factor: float = 1.0,
    ) -> None:
        """Creates the optimizer and the schedule; wraps the model for several processes.

        Args:
            model: Model with fitted normalization, on the process's device.
            shard: Training data of this process.
            sampler: Sampler, the same in each process.
            processes: Process group.
            spec: Spec of the training.
            weight_decay_factor: Factor on the weight decay of the members, chosen by a search.
        """
        self.epochs: list[EpochMetrics] = []
        self.model = model
        self._shard = shard
        self._reader = BatchReader(shard.table, processes.device)
        self._sampler = sampler
        self._processes = processes
        self._max_epochs = spec.max_epochs
        self._budget = Budget(spec, processes.world_size if processes.device.type == "cuda" else 0)
        # DDP averages over processes, which hold different numbers of samples; this restores the sum, divided
        # by the batch size and the mean level so that gradient clipping sees norms near 1.
        self._gradient_scale = processes.world_size / (spec.batch_size * float(model.mean_level_usd))
        self._parallel: nn.Module = MemberForecasts(model)
        if processes.world_size > 1:
            self._parallel = DistributedDataParallel(self._parallel, forward_sync_buffers=False)
            self._settle_gradient_order()
        self._ema = copy.deepcopy(model).eval().requires_grad_(False)
        # Not torch's AveragedModel: each update copies all buffers and synchronizes with the GPU.
        self._ema_pairs = list(self._ema.parameters()), list(model.parameters())
        groups = [
            {"params": list(member.parameters()), "weight_decay": weight_decay_factor * member.weight_decay}
            for member in model.members
        ]
        self._optimizer = AdamW(groups, lr=spec.learning_rate)
        self._scheduler = LambdaLR(self._optimizer, self._learning_rate_factor)
        self._best: dict[str, Tensor] = {}

    def run(self, after_epoch: Callable[[EpochMetrics], None], after_step: AfterStep | None = None) -> None:
        """Trains to the last epoch, an early stop or a time limit, then loads the best weights.

        Args:
            after_epoch: Callback in each process; may call ``state``.
            after_step: Callback in this process only.

        Raises:
            LossNotFiniteError: The training or validation loss is not finite.
        """
        while (reason := self._reason_to_stop()) is None:
            self.epochs.append(self._epoch(len(self.epochs), after_step))
            if self.best_epoch == len(self.epochs):
                self._best = copy.deepcopy(self._ema.state_dict())
            after_epoch(self.epochs[-1])
        self.stopped_by = reason
        self.model.load_state_dict(self._best)

    @property
    def best_epoch(self) -> int:
        """The newest epoch that ties with the lowest validation loss."""
        highest = TIE_TOLERANCE * min(epoch.validation_loss for epoch in self.epochs)
        return max(epoch.epoch for epoch in self.epochs if epoch.validation_loss <= highest)

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return self._sampler.steps

    @property
    def steps_done(self) -> int:
        """Steps so far, including those of earlier starts."""
        return self._scheduler.last_epoch

    def state(self) -> dict[str, Any]:
        """Returns the state for ``restore``; a collective, so each process must call it."""
        return {
            "model": self.model.state_dict(),
            "ema": self._ema.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "randomStates": self._processes.gather(self._random_states()),
            "best": self._best,
            # Their number is also the sampler's position: checkpoints lie between epochs.
            "epochs": encode(self.epochs),
            "spent": self._budget.spent(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restores a state; with another number of processes, random numbers continue differently."""
        self.model.load_state_dict(state["model"])
        self._ema.load_state_dict(state["ema"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scheduler.load_state_dict(state["scheduler"])
        by_rank = state["randomStates"]
        random_states = by_rank[self._processes.rank % len(by_rank)]
        torch.set_rng_state(random_states["cpu"])
        if self._processes.device.type == "cuda" and "cuda" in random_states:
            torch.cuda.set_rng_state(random_states["cuda"])
        self._best = state["best"]
        self.epochs = decode(list[EpochMetrics], state["epochs"], "epochs of the checkpoint")
        self._budget.restore(state["spent"])

    def _random_states(self) -> dict[str, Tensor]:
        """Returns random states by device type; dropout draws on the training device."""
        states = {"cpu": torch.get_rng_state()}
        if self._processes.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state()
        return states

    def _settle_gradient_order(self) -> None:
        """Runs one empty step so that DDP rebuilds its gradient buckets before training.

        Otherwise a resumed run would sum in another order, and with three or more processes differ in the
        last bits.
        """
        empty = Samples(np.empty(0, np.int64), np.empty(0, np.int64))
        batch = self._reader.read(empty)
        # In eval mode, since batch normalization cannot use an empty batch.
        self._parallel.eval()
        self._parallel(*batch.inputs).sum().backward()

    def _learning_rate_factor(self, step: int) -> float:
        total = self._max_epochs * self._sampler.steps
        warm_up = max(1, int(total * WARMUP_FRACTION))
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, total - warm_up)))

    def _reason_to_stop(self) -> StoppedBy | None:
        # Losses are sums over all processes, so all decide alike.
        if len(self.epochs) >= self._max_epochs:
            return "epochs"
        if not self.epochs:
            return None
        if len(self.epochs) - self.best_epoch >= PATIENCE_EPOCHS:
            return "patience"
        return self._limit_reached()

    def _limit_reached(self) -> Limit | None:
        if not self._budget.limited:
            return None
        # Clocks differ, so rank 0 decides.
        return self._processes.gather(self._budget.used_up())[0]

    def _epoch(self, epoch: int, after_step: AfterStep | None) -> EpochMetrics:
        begin = time.monotonic()
        sums = torch.zeros(2, dtype=torch.float64, device=self._processes.device)
        self._parallel.train()

        def mean_so_far() -> float:
            return float(sums[0] / sums[1])

        for step, samples in enumerate(self._sampler.batches(self._shard, epoch), start=1):
            sums.add_(self._step(samples))
            if after_step is not None:
                after_step(epoch + 1, step, mean_so_far)
            if step % _BUDGET_CHECK_STEPS == 0 and self._limit_reached() is not None:
                break
        self._processes.broadcast(self.model.buffers())
        for ema, buffer in zip(self._ema.buffers(), self.model.buffers(), strict=True):
            ema.copy_(buffer)
        train_loss = self._mean_loss(sums, "training", epoch)
        validation_loss = self._mean_loss(self._validate(), "validation", epoch)
        return EpochMetrics(
            epoch=epoch + 1,
            train_loss=train_loss,
            validation_loss=validation_loss,
            seconds=round(time.monotonic() - begin, 3),
        )

    def _step(self, samples: Samples) -> Tensor:
        """Runs one step; returns this process's sums of weighted losses and of weights [2]."""
        batch = self._reader.read(samples)
        losses = (pinball_usd(self._parallel(*batch.inputs), batch.actual) * batch.weight).sum(dim=1)
        self._optimizer.zero_grad()
        (losses.sum() * self._gradient_scale).backward()  # type: ignore[no-untyped-call]
        for member in self.model.members:
            clip_grad_norm_(member.parameters(), MAX_GRAD_NORM)
        self._optimizer.step()
        self._scheduler.step()
        with torch.no_grad():
            update_ema(*self._ema_pairs, self.steps_done - 1)
        return torch.stack([losses.detach().mean(), batch.weight.sum()]).double()

    @torch.no_grad()
    def _validate(self) -> Tensor:
        sums = torch.zeros(2, dtype=torch.float64, device=self._processes.device)
        for samples in chunks(self._shard.validation):
            batch = self._reader.read(samples)
            loss = (pinball_usd(self._ema(*batch.inputs), batch.actual) * batch.weight).sum()
            sums += torch.stack([loss, batch.weight.sum()]).double()
        return sums

    def _mean_loss(self, sums: Tensor, what: str, epoch: int) -> float:
        loss, weight = self._processes.all_reduce_sum(sums.cpu().numpy())
        if not np.isfinite(loss):
            raise LossNotFiniteError(
                "InvalidInput",
                f"the {what} loss became {loss} in epoch {epoch + 1}; lower learningRate",
            )
        return float(loss / weight)
