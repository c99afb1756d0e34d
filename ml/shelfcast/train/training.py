"""The training loop. It cannot tell a resumed training from one never interrupted."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from shelfcast.job import UserError
from shelfcast.models.network import QUANTILES, Network
from shelfcast.train.batch import BatchReader, chunks
from shelfcast.train.budget import Budget, Limit
from shelfcast.train.data import EpochSampler, Samples, Shard
from shelfcast.train.processes import Processes

#: A validation loss of at most so many times the lowest is as good: a few weeks of one season tell no better.
#: Among epochs as good the newest is the best, since the learning rate falls and the average gets longer.
AS_GOOD = 1.03
#: Training stops when for so many epochs none was as good.
PATIENCE_EPOCHS = 4
_GRADIENT_NORM = 1.0
#: Of the average of the weights over steps, which is what is validated and exported.
_AVERAGE_DECAY = 0.99
#: Share of all steps in which the learning rate rises; then it falls to 0 as a cosine.
_WARM_UP = 0.05
#: Steps between two looks at the budget, which all processes have to agree on.
_BUDGET_STEPS = 16

StoppedBy = Literal["epochs", "patience"] | Limit
#: Is called with epoch and step, both counted from 1, and what computes this process's mean loss so far, USD.
AfterStep = Callable[[int, int, Callable[[], float]], None]


class LossNotFiniteError(UserError):
    """A training ran away."""


class Epoch(TypedDict):
    """See contracts/jobs.ts. Losses are weighted means of ``pinball_usd``; epochs count from 1.

    In training it is the mean over the network's members, in validation that of their combination.
    """

    epoch: int
    trainLoss: float
    validationLoss: float
    seconds: float


def pinball_usd(quantiles: Tensor, actual: Tensor) -> Tensor:
    """Returns twice the mean pinball loss over ``QUANTILES``, US dollars [..., N]; of a median it is |f - a|.

    Source: Koenker and Bassett, "Regression Quantiles", Econometrica 46 (1978).

    Args:
        quantiles: US dollars [..., N, 5].
        actual: US dollars [N].
    """
    tau = torch.tensor(QUANTILES, device=quantiles.device)
    error = actual[:, None] - quantiles
    return 2 * torch.maximum(tau * error, (tau - 1) * error).mean(dim=-1)


def moving_average(averages: Sequence[Tensor], weights: Sequence[Tensor], updates: int) -> None:
    """Moves averages on by one step, in place; they are over fewer steps as long as there were few.

    Args:
        averages: So far.
        weights: After the step, of the same shapes.
        updates: Number of steps in the averages so far.
    """
    decay = min(_AVERAGE_DECAY, (1 + updates) / (10 + updates)) if updates else 0.0
    torch._foreach_lerp_(list(averages), list(weights), 1 - decay)


class MemberForecasts(nn.Module):
    """What is trained: each member by itself."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, store: Tensor, dept: Tensor, horizon: Tensor) -> Tensor:
        """Returns ``Network.member_quantiles``."""
        return self.network.member_quantiles(features, store, dept, horizon)


class Trainer:
    """One process's part of a training.

    Attributes:
        epochs: What is done so far; one that the budget ended may be short.
        model: What is trained; on the process's device.
        stopped_by: Why ``run`` returned.
    """

    stopped_by: StoppedBy

    def __init__(
        self,
        model: Network,
        shard: Shard,
        sampler: EpochSampler,
        processes: Processes,
        spec: dict[str, Any],
    ) -> None:
        """Sets up; ``fit_constants`` comes before.

        Args:
            model: On the process's device.
            shard: What this process reads.
            sampler: The same in each process.
            processes: All of them.
            spec: The TrainSpec; a search adds ``weightDecayFactor``.
        """
        self.epochs: list[Epoch] = []
        self.model = model
        self._shard = shard
        self._reader = BatchReader(shard.table, processes.device)
        self._sampler = sampler
        self._processes = processes
        self._max_epochs = int(spec["maxEpochs"])
        self._budget = Budget(spec, processes.world_size if processes.device.type == "cuda" else 0)
        # DDP takes the mean over processes, which hold different numbers of samples; wanted is their sum, by
        # sample of a batch and in units of a mean level, so that the norm of the gradients has a usual size.
        self._gradient_scale = processes.world_size / (spec["batchSize"] * float(model.mean_level_usd))
        self._parallel: nn.Module = MemberForecasts(model)
        if processes.world_size > 1:
            self._parallel = DistributedDataParallel(self._parallel, forward_sync_buffers=False)
            self._settle_gradient_order()
        self._average = copy.deepcopy(model).eval().requires_grad_(False)
        # Not torch's AveragedModel: a step of it copies each buffer and waits for the GPU.
        self._averaged = list(self._average.parameters()), list(model.parameters())
        decay_factor = spec.get("weightDecayFactor", 1.0)
        groups = [
            {"params": list(member.parameters()), "weight_decay": decay_factor * member.weight_decay}
            for member in model.members
        ]
        self._optimizer = AdamW(groups, lr=spec["learningRate"])
        self._scheduler = LambdaLR(self._optimizer, self._learning_rate_factor)
        self._best: dict[str, Tensor] = {}

    def run(self, after_epoch: Callable[[Epoch], None], after_step: AfterStep | None = None) -> None:
        """Trains until the last epoch, an early end or the end of the budget; the model is then the best one.

        Args:
            after_epoch: Is called in each process, and may call ``state``.
            after_step: Is called in this process alone.

        Raises:
            LossNotFiniteError: A loss is not finite.
        """
        while (reason := self._reason_to_stop()) is None:
            self.epochs.append(self._epoch(len(self.epochs), after_step))
            if self.best_epoch == len(self.epochs):
                self._best = copy.deepcopy(self._average.state_dict())
            after_epoch(self.epochs[-1])
        self.stopped_by = reason
        self.model.load_state_dict(self._best)

    @property
    def best_epoch(self) -> int:
        """The newest epoch whose validation loss is as good as the lowest."""
        highest = AS_GOOD * min(epoch["validationLoss"] for epoch in self.epochs)
        return max(epoch["epoch"] for epoch in self.epochs if epoch["validationLoss"] <= highest)

    @property
    def steps(self) -> int:
        """Steps of a whole epoch."""
        return self._sampler.steps

    @property
    def steps_done(self) -> int:
        """Steps since the training's first, those of earlier starts included."""
        return self._scheduler.last_epoch

    def state(self) -> dict[str, Any]:
        """Returns all that ``restore`` needs. Each process must call it."""
        return {
            "model": self.model.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "randomStates": self._processes.gather(self._random_states()),
            "best": self._best,
            # Their number is the sampler's position: a checkpoint lies between two epochs.
            "epochs": self.epochs,
            "spent": self._budget.spent(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a state; of another number of processes, random numbers go on differently."""
        self.model.load_state_dict(state["model"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scheduler.load_state_dict(state["scheduler"])
        by_rank = state["randomStates"]
        random_states = by_rank[self._processes.rank % len(by_rank)]
        torch.set_rng_state(random_states["cpu"])
        if self._processes.device.type == "cuda" and "cuda" in random_states:
            torch.cuda.set_rng_state(random_states["cuda"])
        self._best = state["best"]
        self.epochs = state["epochs"]
        self._budget.restore(state["spent"])

    def _random_states(self) -> dict[str, Tensor]:
        """Returns them by type of device; dropout draws on the one that computes."""
        states = {"cpu": torch.get_rng_state()}
        if self._processes.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state()
        return states

    def _settle_gradient_order(self) -> None:
        """Has DDP order its buckets, which it does after the first step of a start, before any that counts.

        In another order, sums over three or more processes differ in the last bits.
        """
        nothing = Samples(np.empty(0, np.int64), np.empty(0, np.int64))
        batch = self._reader.read(nothing)
        # As in validation: nothing has no mean that a normalization could learn.
        self._parallel.eval()
        self._parallel(*batch.inputs).sum().backward()

    def _learning_rate_factor(self, step: int) -> float:
        total = self._max_epochs * self._sampler.steps
        warm_up = max(1, int(total * _WARM_UP))
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, total - warm_up)))

    def _reason_to_stop(self) -> StoppedBy | None:
        # Losses are sums over all processes, so all come to the same answer.
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
        # Clocks differ: that of the first process counts.
        return self._processes.gather(self._budget.used_up())[0]

    def _epoch(self, epoch: int, after_step: AfterStep | None) -> Epoch:
        begin = time.monotonic()
        sums = torch.zeros(2, dtype=torch.float64, device=self._processes.device)
        self._parallel.train()

        def mean_so_far() -> float:
            return float(sums[0] / sums[1])

        for step, samples in enumerate(self._sampler.batches(self._shard, epoch), start=1):
            sums.add_(self._step(samples))
            if after_step is not None:
                after_step(epoch + 1, step, mean_so_far)
            if step % _BUDGET_STEPS == 0 and self._limit_reached() is not None:
                break
        self._processes.share(self.model.buffers())
        for average, buffer in zip(self._average.buffers(), self.model.buffers(), strict=True):
            average.copy_(buffer)
        train_loss = self._mean_loss(sums, "training", epoch)
        validation_loss = self._mean_loss(self._validate(), "validation", epoch)
        return {
            "epoch": epoch + 1,
            "trainLoss": train_loss,
            "validationLoss": validation_loss,
            "seconds": round(time.monotonic() - begin, 3),
        }

    def _step(self, samples: Samples) -> Tensor:
        """Takes one step; returns the sums of weighted loss and weight of this process's samples, [2]."""
        batch = self._reader.read(samples)
        losses = (pinball_usd(self._parallel(*batch.inputs), batch.actual) * batch.weight).sum(dim=1)
        self._optimizer.zero_grad()
        (losses.sum() * self._gradient_scale).backward()
        for member in self.model.members:
            clip_grad_norm_(member.parameters(), _GRADIENT_NORM)
        self._optimizer.step()
        self._scheduler.step()
        with torch.no_grad():
            moving_average(*self._averaged, self.steps_done - 1)
        return torch.stack([losses.detach().mean(), batch.weight.sum()]).double()

    @torch.no_grad()
    def _validate(self) -> Tensor:
        sums = torch.zeros(2, dtype=torch.float64, device=self._processes.device)
        for samples in chunks(self._shard.validation):
            batch = self._reader.read(samples)
            loss = (pinball_usd(self._average(*batch.inputs), batch.actual) * batch.weight).sum()
            sums += torch.stack([loss, batch.weight.sum()]).double()
        return sums

    def _mean_loss(self, sums: Tensor, what: str, epoch: int) -> float:
        loss, weight = self._processes.total(sums.cpu().numpy())
        if not np.isfinite(loss):
            raise LossNotFiniteError(
                "InvalidInput",
                f"the {what} loss became {loss} in epoch {epoch + 1}; lower learningRate",
            )
        return float(loss / weight)
