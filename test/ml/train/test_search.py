"""The search for hyper-parameters: what it tries, what a kill costs, and what becomes of the best."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from train_example import WEEKS, Example, start, write_example

from shelfcast.contracts.results import EpochMetrics, SearchResult, Trial, TrialParameters
from shelfcast.contracts.specs import SearchOptions, TrainSpec
from shelfcast.job import UserError, write_json
from shelfcast.train.__main__ import _trainer, _training_counts, run
from shelfcast.train.checkpoint import config_hash
from shelfcast.train.data import read_shard
from shelfcast.train.distributed import Processes
from shelfcast.train.search import search
from shelfcast.train.training import LossNotFiniteError

OPTIONS = {"maxEpochs": 1, "search": {"trials": 3}}


class Bowl:
    """Stands in for a trainer: its loss is lowest at a learning rate of 0.001 and three times the decay."""

    def __init__(self, spec: TrainSpec, weight_decay_factor: float) -> None:
        self.spec = spec
        self.decay = weight_decay_factor
        self.epochs: list[EpochMetrics] = []

    def run(self, after_epoch: object) -> None:  # noqa: ARG002
        loss = 100 + math.log(self.spec.learning_rate / 0.001) ** 2 + math.log(self.decay / 3) ** 2
        self.epochs = [
            EpochMetrics(epoch=number, train_loss=loss, validation_loss=loss + 2 - number, seconds=1.0)
            for number in (1, 2)
        ]


class Steep(Bowl):
    def run(self, after_epoch: object) -> None:
        if self.spec.learning_rate >= 0.002:
            raise LossNotFiniteError("InvalidInput", "the training loss became nan")
        super().run(after_epoch)


class Killed(BaseException):
    pass


@pytest.fixture
def spec(example: Example) -> TrainSpec:
    return replace(example.spec, batch_size=1_024, max_epochs=12, search=SearchOptions(trials=12))


def find(directory: Path, spec: TrainSpec, alone: Processes, prepare: Any = Bowl) -> SearchResult:
    directory.mkdir(exist_ok=True)
    return search(spec, directory, alone, prepare)


def test_the_first_trial_is_the_spec_itself_and_others_are_better(
    tmp_path: Path, spec: TrainSpec, alone: Processes
) -> None:
    tried = []

    def prepare(spec: TrainSpec, weight_decay_factor: float) -> Bowl:
        tried.append((spec, weight_decay_factor))
        return Bowl(spec, weight_decay_factor)

    found = find(tmp_path, replace(spec, search=SearchOptions(trials=25)), alone, prepare)
    first, *others = found.trials
    assert [trial.number for trial in found.trials] == list(range(1, 26))
    assert first.parameters == TrialParameters(learning_rate=0.002, batch_size=1_024, weight_decay_factor=1.0)
    assert {spec.max_epochs for spec, _ in tried} == {4}
    assert [
        TrialParameters(
            learning_rate=spec.learning_rate, batch_size=spec.batch_size, weight_decay_factor=factor
        )
        for spec, factor in tried
    ] == [trial.parameters for trial in found.trials]
    assert len({trial.parameters for trial in found.trials}) == 25
    for parameters in (trial.parameters for trial in others):
        assert 0.0005 <= parameters.learning_rate <= 0.008
        assert 256 <= parameters.batch_size <= 4_096
        assert 0.1 <= parameters.weight_decay_factor <= 10

    def mean(trials: list[Trial]) -> float:
        return sum(trial.validation_loss or math.nan for trial in trials) / len(trials)

    assert found.best.validation_loss == min(trial.validation_loss or 0 for trial in found.trials)
    assert found.best.validation_loss < 100.3
    # It learns: drawn at random, the last ones would be as bad as the first.
    assert mean(others[-8:]) < mean(others[:5]) - 0.5


@pytest.mark.parametrize("killed_at", [1, 2, 7])
def test_a_killed_search_makes_no_trial_twice_and_ends_as_one_never_killed(
    tmp_path: Path, spec: TrainSpec, alone: Processes, killed_at: int
) -> None:
    whole = find(tmp_path / "whole", spec, alone)
    made = []

    def prepare(spec: TrainSpec, weight_decay_factor: float, dies: bool) -> Bowl:
        if dies and len(made) + 1 == killed_at:
            raise Killed
        made.append(spec)
        return Bowl(spec, weight_decay_factor)

    with pytest.raises(Killed):
        find(tmp_path / "killed", spec, alone, partial(prepare, dies=True))
    assert find(tmp_path / "killed", spec, alone, partial(prepare, dies=False)) == whole
    assert len(made) == 12
    assert find(tmp_path / "killed", spec, alone, partial(prepare, dies=False)) == whole
    assert len(made) == 12


def test_a_trial_whose_loss_is_not_finite_loses(tmp_path: Path, spec: TrainSpec, alone: Processes) -> None:
    found = find(tmp_path, spec, alone, Steep)
    assert found.trials[0].validation_loss is None
    assert found.best.parameters.learning_rate < 0.002
    with pytest.raises(UserError, match="no loss of 1 trials was finite; lower learningRate"):
        find(tmp_path / "none", replace(spec, search=SearchOptions(trials=1)), alone, Steep)


def test_trials_of_another_spec_are_refused(tmp_path: Path, spec: TrainSpec, alone: Processes) -> None:
    find(tmp_path, spec, alone)
    with pytest.raises(UserError, match="belongs to a search with another spec"):
        find(tmp_path, replace(spec, seed=8), alone)


def test_no_test_week_decides(example: Example, alone: Processes, tmp_path: Path) -> None:
    def found(of: Example, name: str) -> SearchResult:
        spec = replace(of.spec, max_epochs=1, search=SearchOptions(trials=2))
        shard = read_shard(spec, 0, 1)
        prepare = partial(_trainer, shard, _training_counts(shard, alone), alone)
        (tmp_path / name).mkdir()
        return search(spec, tmp_path / name, alone, prepare)

    as_it_is = found(example, "search")
    test_weeks = write_example(tmp_path / "test", add_usd_from_week=WEEKS - 6, add_usd=1e6)
    assert found(test_weeks, "of test") == as_it_is
    validation_weeks = write_example(tmp_path / "validation", add_usd_from_week=WEEKS - 7, add_usd=1e6)
    assert found(validation_weeks, "of validation") != as_it_is


def test_the_factor_multiplies_the_weight_decay_of_each_member(example: Example, alone: Processes) -> None:
    shard = read_shard(example.spec, 0, 1)
    prepare = partial(_trainer, shard, _training_counts(shard, alone), alone)

    def decays(factor: float) -> list[float]:
        groups = prepare(example.spec, factor).state()["optimizer"]["param_groups"]
        return [group["weight_decay"] for group in groups]

    own = decays(1.0)
    assert own == [1.0, 0.02]
    assert decays(3.0) == [3 * decay for decay in own]


def test_the_training_uses_the_parameters_of_the_best_trial(
    example: Example, alone: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shelfcast.train.__main__.init_distributed", lambda: nullcontext(alone))
    plain = replace(example.spec, max_epochs=1, learning_rate=0.004, batch_size=512)
    searched = replace(example.spec, max_epochs=1, search=SearchOptions(trials=1))

    def model_hash(spec: TrainSpec, best: TrialParameters | None = None) -> str:
        directory = Path(mkdtemp(dir=tmp_path))
        if best is not None:
            trial = Trial(number=1, parameters=best, validation_loss=100.0)
            write_json(directory / "search.json", {"configHash": config_hash(spec), "trials": [trial]})
        result = run(spec, directory)
        assert result is not None
        return result.model_hash

    best = TrialParameters(learning_rate=0.004, batch_size=512, weight_decay_factor=1.0)
    assert model_hash(searched, best) == model_hash(plain)
    assert model_hash(searched, replace(best, weight_decay_factor=3.0)) != model_hash(plain)


def finish(directory: Path) -> dict[str, Any]:
    launcher = start(directory)
    output, _ = launcher.communicate(timeout=600)
    assert launcher.returncode == 0, output
    return json.loads((directory / "result.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_a_killed_job_searches_on(example: Example, tmp_path: Path) -> None:
    directory = example.job(tmp_path / "searched", **OPTIONS)
    state = directory / "search.json"
    launcher = start(directory)
    while not state.exists() and launcher.poll() is None:
        time.sleep(0.01)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text(encoding="utf-8")
    os.kill(int(children.split()[0]), signal.SIGKILL)
    launcher.communicate(timeout=600)
    before = json.loads(state.read_text(encoding="utf-8"))["trials"]
    assert 1 <= len(before) < 3

    searched = finish(directory)
    found = searched["search"]
    assert found["trials"][: len(before)] == before
    assert len(found["trials"]) == 3
    assert json.loads((directory / "report" / "search.json").read_text(encoding="utf-8")) == found
    progress = [json.loads(line) for line in (directory / "progress.jsonl").open(encoding="utf-8")]
    assert len({line["message"] for line in progress}) == len(progress)
    assert [line["fraction"] for line in progress] == sorted(line["fraction"] for line in progress)
