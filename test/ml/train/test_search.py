"""The search for hyper-parameters: what it tries, what a kill costs, and what becomes of the best."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from train_example import WEEKS, Example, torchrun, write_example

from shelfcast.job import UserError
from shelfcast.train.__main__ import _trainer, _training_counts
from shelfcast.train.data import read_shard
from shelfcast.train.distributed import Processes
from shelfcast.train.search import Search, Trial, search
from shelfcast.train.training import LossNotFiniteError

SPEC = {"learningRate": 0.002, "batchSize": 1_024, "seed": 7, "maxEpochs": 12, "search": {"trials": 12}}
OPTIONS = {"maxEpochs": 2, "search": {"trials": 4}}


class Bowl:
    """Stands in for a trainer: its loss is lowest at a learning rate of 0.001 and three times the decay."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.epochs: list[dict[str, float]] = []

    def run(self, after_epoch: object) -> None:  # noqa: ARG002
        rate, decay = self.spec["learningRate"], self.spec["weightDecayFactor"]
        loss = 100 + math.log(rate / 0.001) ** 2 + math.log(decay / 3) ** 2
        self.epochs = [{"validationLoss": loss + 1}, {"validationLoss": loss}]


class Steep(Bowl):
    def run(self, after_epoch: object) -> None:
        if self.spec["learningRate"] >= 0.002:
            raise LossNotFiniteError("InvalidInput", "the training loss became nan")
        super().run(after_epoch)


class Killed(BaseException):
    pass


def find(directory: Path, alone: Processes, prepare: Any = Bowl, **changed: Any) -> Search:
    directory.mkdir(exist_ok=True)
    return search({**SPEC, **changed}, directory, alone, prepare)


def test_the_first_trial_is_the_spec_itself_and_others_are_better(tmp_path: Path, alone: Processes) -> None:
    specs = []

    def prepare(spec: dict[str, Any]) -> Bowl:
        specs.append(spec)
        return Bowl(spec)

    found = find(tmp_path, alone, prepare, search={"trials": 25})
    first, *others = found["trials"]
    assert [trial["number"] for trial in found["trials"]] == list(range(1, 26))
    assert first["parameters"] == {"learningRate": 0.002, "batchSize": 1_024, "weightDecayFactor": 1.0}
    assert {spec["maxEpochs"] for spec in specs} == {4}
    assert len({json.dumps(trial["parameters"]) for trial in found["trials"]}) == 25
    for parameters in (trial["parameters"] for trial in others):
        assert 0.0005 <= parameters["learningRate"] <= 0.008
        assert 256 <= parameters["batchSize"] <= 4_096
        assert 0.1 <= parameters["weightDecayFactor"] <= 10

    def mean(trials: list[Trial]) -> float:
        return sum(trial["validationLoss"] or math.nan for trial in trials) / len(trials)

    assert found["best"]["validationLoss"] == min(trial["validationLoss"] or 0 for trial in found["trials"])
    assert found["best"]["validationLoss"] < 100.3
    # It learns: drawn at random, the last ones would be as bad as the first.
    assert mean(others[-8:]) < mean(others[:5]) - 0.5


@pytest.mark.parametrize("killed_at", [1, 2, 7])
def test_a_killed_search_makes_no_trial_twice_and_ends_as_one_never_killed(
    tmp_path: Path, alone: Processes, killed_at: int
) -> None:
    whole = find(tmp_path / "whole", alone)
    made = []

    def prepare(spec: dict[str, Any], dies: bool) -> Bowl:
        if dies and len(made) + 1 == killed_at:
            raise Killed
        made.append(spec)
        return Bowl(spec)

    with pytest.raises(Killed):
        find(tmp_path / "killed", alone, partial(prepare, dies=True))
    assert find(tmp_path / "killed", alone, partial(prepare, dies=False)) == whole
    assert len(made) == 12
    assert find(tmp_path / "killed", alone, partial(prepare, dies=False)) == whole
    assert len(made) == 12


def test_a_trial_whose_loss_is_not_finite_loses(tmp_path: Path, alone: Processes) -> None:
    found = find(tmp_path, alone, Steep)
    assert found["trials"][0]["validationLoss"] is None
    assert found["best"]["parameters"]["learningRate"] < 0.002
    with pytest.raises(UserError, match="no loss of 1 trials was finite; lower learningRate"):
        find(tmp_path / "none", alone, Steep, search={"trials": 1})


def test_trials_of_another_spec_are_refused(tmp_path: Path, alone: Processes) -> None:
    find(tmp_path, alone)
    with pytest.raises(UserError, match="belongs to a search with another spec"):
        find(tmp_path, alone, seed=8)


def test_no_test_week_decides(example: Example, alone: Processes, tmp_path: Path) -> None:
    def found(of: Example, name: str) -> Search:
        spec = {**of.spec, "maxEpochs": 1, "search": {"trials": 2}}
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

    def decays(spec: dict[str, Any]) -> list[float]:
        groups = prepare(spec).state()["optimizer"]["param_groups"]
        return [group["weight_decay"] for group in groups]

    own = decays(example.spec)
    assert own == [1.0, 0.02]
    assert decays({**example.spec, "weightDecayFactor": 3.0}) == [3 * decay for decay in own]


def finish(directory: Path) -> dict[str, Any]:
    launcher = torchrun(directory)
    output, _ = launcher.communicate(timeout=200)
    assert launcher.returncode == 0, output
    return json.loads((directory / "result.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_a_killed_job_searches_on_and_trains_with_the_best(example: Example, tmp_path: Path) -> None:
    directory = example.job(tmp_path / "searched", **OPTIONS)
    state = directory / "search.json"
    launcher = torchrun(directory)
    while not state.exists() and launcher.poll() is None:
        time.sleep(0.01)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text(encoding="utf-8")
    os.kill(int(children.split()[0]), signal.SIGKILL)
    launcher.communicate(timeout=120)
    before = json.loads(state.read_text(encoding="utf-8"))["trials"]
    assert 1 <= len(before) < 4

    searched = finish(directory)
    found = searched["search"]
    assert found["trials"][: len(before)] == before
    assert len(found["trials"]) == 4
    assert json.loads((directory / "report" / "search.json").read_text(encoding="utf-8")) == found
    progress = [json.loads(line) for line in (directory / "progress.jsonl").open(encoding="utf-8")]
    assert len({line["message"] for line in progress}) == len(progress)
    assert [line["fraction"] for line in progress] == sorted(line["fraction"] for line in progress)
    plain = finish(example.job(tmp_path / "plain", maxEpochs=2, **found["best"]["parameters"]))
    assert plain["modelHash"] == searched["modelHash"]
    assert "search" not in plain
