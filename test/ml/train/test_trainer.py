"""When a training ends, and what it keeps then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from train_example import Example

from shelfcast.models.network import Network
from shelfcast.models.presets import build_network
from shelfcast.train.budget import Budget
from shelfcast.train.data import EpochSampler, read_shard
from shelfcast.train.distributed import Processes
from shelfcast.train.normalization import fit_normalization, known_ids
from shelfcast.train.training import Trainer


def new_trainer(
    example: Example,
    alone: Processes,
    seen_by: Callable[[Processes], Processes] = lambda processes: processes,
    **changed: Any,
) -> tuple[Trainer, Network, int]:
    """Returns a trainer, its model and the steps of an epoch."""
    spec = replace(example.spec, **{"batch_size": 64, **changed})
    shard = read_shard(spec, 0, 1)
    sampler = EpochSampler(list(map(len, shard.training)), spec.batch_size, spec.seed)
    torch.manual_seed(spec.seed)
    ids = known_ids(shard, alone)
    model = build_network(spec.preset, shard.table.features, *ids, spec.horizon_weeks)
    fit_normalization(model, shard, sampler, alone)
    return Trainer(model, shard, sampler, seen_by(alone), spec), model, sampler.steps


def weights(model: Network) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that the test sets; begins at 0."""
    clock = SimpleNamespace(read=lambda: 0.0)
    monkeypatch.setattr("shelfcast.train.budget.time", SimpleNamespace(monotonic=lambda: clock.read()))
    return clock


def test_a_budget_ends_it_in_the_middle_of_an_epoch_with_the_best_so_far(
    example: Example, alone: Processes, clock: SimpleNamespace
) -> None:
    trainer, model, steps = new_trainer(example, alone, max_epochs=9, max_wall_time_minutes=2)
    assert 60 < steps < 104
    # A second a step.
    clock.read = lambda: float(trainer.steps_done)
    states = []
    trainer.run(lambda _: states.append(trainer.state()))
    assert trainer.stopped_by == "wallTime"
    assert [epoch.epoch for epoch in trainer.epochs] == [1, 2]
    assert 120 <= trainer.steps_done < 120 + 16
    best = states[trainer.best_epoch - 1]["best"]
    assert all(torch.equal(value, best[name]) for name, value in model.state_dict().items())

    # One that was killed while it exported has used up its budget all the same.
    again, other, _ = new_trainer(example, alone, max_epochs=9, max_wall_time_minutes=2)
    clock.read = lambda: 0.0
    again.restore(states[-1])
    again.run(lambda _: pytest.fail("an epoch too many"))
    assert again.stopped_by == "wallTime"
    assert same(weights(model), weights(other))


@pytest.mark.usefixtures("clock")
def test_the_clock_of_the_first_process_counts(example: Example, alone: Processes) -> None:
    class Second(Processes):
        def gather(self, value: Any) -> list[Any]:
            return ["wallTime", value]

    trainer, _, _ = new_trainer(
        example, alone, lambda p: Second(p.rank, p.world_size, p.device), max_wall_time_minutes=2
    )
    trainer.run(lambda _: None)
    assert trainer.stopped_by == "wallTime"
    assert trainer.steps_done == 16


def test_gpu_seconds_are_those_of_all_gpus_and_of_all_starts(
    example: Example, clock: SimpleNamespace
) -> None:
    budget = Budget(replace(example.spec, gpu_seconds=100), gpus=4)
    clock.read = lambda: 24.9
    assert budget.used_up() is None
    clock.read = lambda: 25.0
    assert budget.used_up() == "gpuSeconds"
    spent = budget.spent()
    assert spent == {"wallTime": 25.0, "gpuSeconds": 100.0}
    resumed = Budget(replace(example.spec, gpu_seconds=110), gpus=2)
    resumed.restore(spent)
    clock.read = lambda: 29.9
    assert resumed.used_up() is None
    clock.read = lambda: 30.0
    assert resumed.used_up() == "gpuSeconds"
    # Where there is no GPU, none of its seconds pass.
    assert Budget(replace(example.spec, gpu_seconds=1), gpus=0).used_up() is None


def test_patience_ends_it_with_the_best_weights(
    example: Example, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fourth is as good as the second, the seventh is not.
    losses = iter([3.0, 2.0, 5.0, 2.05, 2.5, 4.0, 2.07, 2.2])
    monkeypatch.setattr(
        Trainer, "_validate", lambda _: torch.tensor([next(losses), 1.0], dtype=torch.float64)
    )
    trainer, model, _ = new_trainer(example, alone, max_epochs=9, batch_size=2_048)
    averages = []
    trainer.run(lambda _: averages.append(trainer.state()["best"]))
    assert trainer.stopped_by == "patience"
    assert len(trainer.epochs) == 8
    assert trainer.best_epoch == 4
    fourth = averages[3]
    assert all(torch.equal(value, fourth[name]) for name, value in model.state_dict().items())


def test_all_epochs_end_it(example: Example, alone: Processes) -> None:
    trainer, _, steps = new_trainer(example, alone, max_epochs=2, batch_size=2_048)
    trainer.run(lambda _: None)
    assert trainer.stopped_by == "epochs"
    assert trainer.steps_done == 2 * steps


def test_gradients_are_clipped_for_each_member(example: Example, alone: Processes) -> None:
    trainer, model, _ = new_trainer(example, alone, max_epochs=1, batch_size=2_048)
    norms: list[float] = []

    def gradient_norm(member: torch.nn.Module) -> float:
        gradients = [p.grad.flatten() for p in member.parameters() if p.grad is not None]
        return float(torch.cat(gradients).norm())

    # Dollars instead of mean levels: a gradient thousands of times as long.
    trainer._gradient_scale *= float(model.mean_level_usd)
    trainer.run(lambda _: norms.extend(map(gradient_norm, model.members)))
    assert norms
    assert norms == pytest.approx([1.0] * len(model.members), rel=1e-3)
