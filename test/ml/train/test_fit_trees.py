"""The samples that trees are fitted to, and the weight they get."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
from fitted_trees import ROUNDS, FittedTrees, fitted_trees
from train_example import WEEKS, Example, result, run_in_processes, write_example
from train_here import train_here

from shelfcast.job import write_json
from shelfcast.train import fit_trees
from shelfcast.train.distributed import Processes
from shelfcast.train.shares import choose_shares

#: Number of the first week that is no target of training samples: 6 of the test, 6 of the validation.
FIRST_UNSEEN_WEEK = WEEKS - 12


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_trees, "ROUNDS", ROUNDS)


def test_no_week_of_the_validation_reaches_the_trees(
    example: Example, alone: Processes, tmp_path: Path
) -> None:
    bits = fitted_trees(example.spec, alone).bits()
    unseen = write_example(tmp_path / "unseen", add_usd_from_week=FIRST_UNSEEN_WEEK, add_usd=1e6)
    assert fitted_trees(unseen.spec, alone).bits() == bits
    seen = write_example(tmp_path / "seen", add_usd_from_week=FIRST_UNSEEN_WEEK - 1, add_usd=1e6)
    assert fitted_trees(seen.spec, alone).bits() != bits


def test_it_tells_how_many_trees_there_are(
    example: Example, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_trees, "_ROUNDS_BETWEEN", ROUNDS // 2)
    assert fitted_trees(example.spec, alone).told == [f"tree {n} of {ROUNDS}" for n in (ROUNDS // 2, ROUNDS)]


def test_any_number_of_processes_grows_the_same_trees(
    example: Example, alone: Processes, tmp_path: Path
) -> None:
    write_json(tmp_path / "spec.json", example.spec)
    code, output = run_in_processes("fit_trees_in_processes", str(tmp_path))
    assert code == 0, output
    assert output.strip() == hashlib.sha256(fitted_trees(example.spec, alone).bits()).hexdigest()


def test_samples_are_bounded_and_come_evenly_from_all_files(
    example: Example, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = []
    fit = fit_trees._fit

    def keep(files: list[fit_trees._Rows], *others: Any) -> object:
        fitted.append([len(rows.inputs) for rows in files])
        return fit(files, *others)

    monkeypatch.setattr(fit_trees, "_fit", keep)
    sizes = [len(samples) for samples in fitted_trees(example.spec, alone).shard.training]
    monkeypatch.setattr(fit_trees, "SAMPLES", 1_000)
    fitted_trees(example.spec, alone)
    everything, some = fitted
    assert everything == sizes
    assert 1_000 <= sum(some) <= 1_000 + len(sizes)
    shares = [part / size for part, size in zip(some, sizes, strict=True) if size]
    assert max(shares) < min(shares) + 0.01


def test_the_job_ends_with_the_same_bytes_when_it_goes_on(example: Example, tmp_path: Path) -> None:
    options = {"preset": "ensemble", "maxEpochs": 2, "processes": 1}
    hashes = []
    whole = example.job(tmp_path / "whole", **options)
    for left, name in ((2, "whole"), (2, "killed after the last epoch"), (1, "killed before it")):
        directory = tmp_path / name
        if name != "whole":
            example.job(directory, **options)
            shutil.copytree(whole / "checkpoints", directory / "checkpoints")
        if left == 1:
            (directory / "checkpoints" / "epoch-0002.json").unlink()
        assert train_here(directory) == 0
        assert result(directory)["startedFromEpochs"] == [0 if name == "whole" else left]
        hashes.append(result(directory)["modelHash"])
    assert len(set(hashes)) == 1
    graph = onnx.load(whole / "model" / "model.onnx").graph
    assert "TreeEnsembleRegressor" in {node.op_type for node in graph.node}


def chosen_share(trained: FittedTrees, processes: Processes) -> float:
    """Returns the share that the trees get beside networks that were not trained."""
    choose_shares(trained.model, trained.shard, processes)
    shares = trained.model.shares
    assert float(shares.sum()) == pytest.approx(1.0)
    assert (shares >= 0).all()
    return float(shares[1])


def test_trees_that_forecast_better_get_a_share_and_bad_ones_get_none(
    example: Example, alone: Processes
) -> None:
    trained = fitted_trees(example.spec, alone)
    usual = trained.model.prior_trained[1]
    assert chosen_share(trained, alone) >= 0.75 * usual + 0.25 * 0.5
    wrong = [5 * value for value in reversed(trained.attributes["target_weights"])]
    trained.model.trees.set_trees({**trained.attributes, "target_weights": wrong})
    assert chosen_share(trained, alone) == pytest.approx(0.75 * usual)
